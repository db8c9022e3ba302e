//! A pickle as a tree of plain values. A pickle is a program for Python's own small machine, and running it is how a checkpoint takes over a
//! computer; this reads it as a list of what is to be built, builds nothing, calls nothing and imports nothing. Apart, because it knows
//! nothing of tensors. Candle's own reader copies what is referred to twice, so that a hundred bytes can ask for all memory.
//!
//! Values lie in one arena and refer to each other by number: memory is bounded by the length of the pickle, and a value that contains itself
//! is no danger to the reader (those who walk the tree keep a limit of their own).
//!
//! # Source
//! Python's `pickletools.py`, protocols 0 to 5.

use std::collections::HashMap;

/// Largest pickle that is read; that of an Ultralytics checkpoint has 200 KB.
pub(super) const MAX_PICKLE_BYTES: usize = 16 << 20;

/// Most values that it may name.
const MAX_VALUES: usize = 2_000_000;

/// A value's number in its [`Pickle`].
pub(super) type Id = u32;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Bytes, which nothing here needs.
    Bytes,
    /// Something of a Python module, by name.
    Global {
        module: String,
        name: String,
    },
    Tuple(Vec<Id>),
    /// A list or a set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// What calling `callable` with `args` would make, then given `state`, `items` and `elements`.
    Object {
        callable: Id,
        args: Id,
        state: Option<Id>,
        items: Vec<(Id, Id)>,
        elements: Vec<Id>,
    },
    /// Something outside the pickle: a tensor's storage.
    Persistent(Id),
}

/// All values of a pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads a pickle.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut machine = Machine { bytes, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        let root = machine.run().map_err(|why| format!("its pickle cannot be read: {why} at byte {}", machine.at))?;
        Ok(Self { values: machine.values, root })
    }

    /// The value that the pickle stands for.
    pub(super) fn root(&self) -> &Value {
        self.get(self.root)
    }

    /// A value.
    pub(super) fn get(&self, id: Id) -> &Value {
        // Numbers are only given out by the reader below, for values that are there.
        &self.values[id as usize]
    }

    /// The text of a value, if it is one.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number of a value, if it is a whole one and not negative.
    pub(super) fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Value::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The parts of a value, if it is a tuple or a list.
    pub(super) fn parts(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(parts) | Value::List(parts) => Some(parts),
            _ => None,
        }
    }

    /// The entries of a dictionary, an ordered one included.
    pub(super) fn entries<'a>(&'a self, value: &'a Value) -> Option<&'a [(Id, Id)]> {
        match value {
            Value::Dict(entries) => Some(entries),
            Value::Object { callable, items, .. } => match self.get(*callable) {
                Value::Global { module, name } if module == "collections" && (name == "OrderedDict" || name == "defaultdict") => {
                    Some(items)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// What a dictionary has under a text; the last if it is there twice, as in Python.
    pub(super) fn entry<'a>(&'a self, value: &'a Value, key: &str) -> Option<Id> {
        self.entries(value)?.iter().rev().find(|(name, _)| self.text(*name) == Some(key)).map(|&(_, value)| value)
    }

    /// Module, name and arguments of the call that a value stands for.
    pub(super) fn call<'a>(&'a self, value: &'a Value) -> Option<(&'a str, &'a str, &'a [Id])> {
        match value {
            Value::Object { callable, args, .. } => match self.get(*callable) {
                Value::Global { module, name } => Some((module, name, self.parts(*args)?)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The attributes of an object: the dictionary that it is given as its state, or the first of a pair of which the second are its slots.
    pub(super) fn attributes<'a>(&'a self, value: &'a Value) -> Option<&'a Value> {
        let Value::Object { state: Some(state), .. } = value else { return None };
        let state = match self.get(*state) {
            Value::Tuple(pair) if pair.len() == 2 => self.get(pair[0]),
            other => other,
        };
        self.entries(state).map(|_| state)
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack where marks were set.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, String> {
        if self.bytes.len() > MAX_PICKLE_BYTES {
            return Err(format!("it has more than {} MiB", MAX_PICKLE_BYTES >> 20));
        }
        loop {
            let code = self.byte()?;
            if code == b'.' {
                return self.pop();
            }
            self.step(code)?;
        }
    }

    fn step(&mut self, code: u8) -> Result<(), String> {
        match code {
            0x80 => {
                self.byte()?;
            }
            0x95 => {
                self.take(8)?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                // A mark on top is what is taken away then.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => {
                self.pop_to_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'I' | b'L' => {
                let line = self.line()?;
                let value = match line.as_str() {
                    "00" if code == b'I' => Value::Bool(false),
                    "01" if code == b'I' => Value::Bool(true),
                    number => number.trim_end_matches('L').parse().map(Value::Int).map_err(|_| format!("`{number}` is no number"))?,
                };
                self.push(value)?;
            }
            b'J' => {
                let number = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(number.into()))?;
            }
            b'K' => {
                let number = self.byte()?;
                self.push(Value::Int(number.into()))?;
            }
            b'M' => {
                let number = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(number.into()))?;
            }
            0x8A | 0x8B => {
                let length = if code == 0x8A { self.byte()?.into() } else { self.length4()? };
                let bytes = self.take(length)?;
                let value = little_endian(bytes).map_or(Value::Bytes, Value::Int);
                self.push(value)?;
            }
            b'F' => {
                let line = self.line()?;
                let number = line.parse().map_err(|_| format!("`{line}` is no number"))?;
                self.push(Value::Float(number))?;
            }
            b'G' => {
                let number = f64::from_be_bytes(self.array()?);
                self.push(Value::Float(number))?;
            }
            b'V' | b'S' => {
                let line = self.line()?;
                let text = if code == b'S' { line.trim_matches(['\'', '"']).to_owned() } else { line };
                self.push(Value::Text(text))?;
            }
            b'X' | b'T' => {
                let length = self.length4()?;
                self.push_text(length)?;
            }
            0x8C | b'U' => {
                let length = self.byte()?.into();
                self.push_text(length)?;
            }
            0x8D => {
                let length = self.length8()?;
                self.push_text(length)?;
            }
            b'B' | b'C' | 0x8E | 0x96 => {
                let length = match code {
                    b'B' => self.length4()?,
                    b'C' => self.byte()?.into(),
                    _ => self.length8()?,
                };
                self.take(length)?;
                self.push(Value::Bytes)?;
            }
            b']' | 0x8F => self.push(Value::List(Vec::new()))?,
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'a' => {
                let element = self.pop()?;
                self.extend(vec![element])?;
            }
            b'e' | 0x90 => {
                let elements = self.pop_to_mark()?;
                self.extend(elements)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.insert(vec![key, value])?;
            }
            b'u' => {
                let pairs = self.pop_to_mark()?;
                self.insert(pairs)?;
            }
            b'l' | 0x91 => {
                let elements = self.pop_to_mark()?;
                self.push(Value::List(elements))?;
            }
            b't' => {
                let elements = self.pop_to_mark()?;
                self.push(Value::Tuple(elements))?;
            }
            0x85..=0x87 => {
                let start = self.below_top(usize::from(code - 0x84))?;
                let elements = self.stack.split_off(start);
                self.push(Value::Tuple(elements))?;
            }
            b'd' => {
                let pairs = self.pop_to_mark()?;
                self.push(Value::Dict(Vec::new()))?;
                self.insert(pairs)?;
            }
            b'g' | b'h' | b'j' => {
                let slot = match code {
                    b'g' => self.line()?.parse().map_err(|_| "a reference is no number".to_owned())?,
                    b'h' => self.byte()?.into(),
                    _ => u32::from_le_bytes(self.array()?),
                };
                let id = *self.memo.get(&slot).ok_or_else(|| format!("it refers to {slot}, which is not there"))?;
                self.stack.push(id);
            }
            b'p' | b'q' | b'r' | 0x94 => {
                let slot = match code {
                    b'p' => self.line()?.parse().map_err(|_| "a reference is no number".to_owned())?,
                    b'q' => self.byte()?.into(),
                    b'r' => u32::from_le_bytes(self.array()?),
                    _ => self.memo.len() as u32,
                };
                let top = self.top()?;
                self.memo.insert(slot, top);
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global { module, name })?;
            }
            0x93 => {
                let name = self.pop()?;
                let module = self.pop()?;
                match (&self.values[module as usize], &self.values[name as usize]) {
                    (Value::Text(module), Value::Text(name)) => {
                        let value = Value::Global { module: module.clone(), name: name.clone() };
                        self.push(value)?;
                    }
                    _ => return Err("a module is named by no text".into()),
                }
            }
            b'R' | 0x81 => {
                let args = self.pop()?;
                let callable = self.pop()?;
                self.push_object(callable, args)?;
            }
            0x92 => {
                self.pop()?;
                let args = self.pop()?;
                let callable = self.pop()?;
                self.push_object(callable, args)?;
            }
            b'i' | b'o' => {
                let mut args = self.pop_to_mark()?;
                let callable = if code == b'i' {
                    let (module, name) = (self.line()?, self.line()?);
                    self.add(Value::Global { module, name })?
                } else if args.is_empty() {
                    return Err("an object without a class".into());
                } else {
                    args.remove(0)
                };
                let args = self.add(Value::Tuple(args))?;
                self.push_object(callable, args)?;
            }
            b'b' => {
                let given = self.pop()?;
                let top = self.top()?;
                if let Value::Object { state, .. } = &mut self.values[top as usize] {
                    *state = Some(given);
                }
            }
            b'P' => {
                let line = self.line()?;
                let id = self.add(Value::Text(line))?;
                self.push(Value::Persistent(id))?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id))?;
            }
            other => return Err(format!("unknown operation {other:#04x}")),
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len()).ok_or("it is cut short")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0u8; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn length4(&mut self) -> Result<usize, String> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn length8(&mut self) -> Result<usize, String> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| "it is cut short".to_owned())
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or("it is cut short")?;
        let line = String::from_utf8_lossy(&rest[..length]).trim_end_matches('\r').to_owned();
        self.at += length + 1;
        Ok(line)
    }

    fn add(&mut self, value: Value) -> Result<Id, String> {
        if self.values.len() == MAX_VALUES {
            return Err(format!("it names more than {MAX_VALUES} values"));
        }
        self.values.push(value);
        Ok((self.values.len() - 1) as Id)
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        let id = self.add(value)?;
        self.stack.push(id);
        Ok(())
    }

    fn push_text(&mut self, length: usize) -> Result<(), String> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.push(Value::Text(text))
    }

    fn push_object(&mut self, callable: Id, args: Id) -> Result<(), String> {
        self.push(Value::Object { callable, args, state: None, items: Vec::new(), elements: Vec::new() })
    }

    /// The lowest place of the stack that belongs to the innermost mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn below_top(&self, count: usize) -> Result<usize, String> {
        self.stack.len().checked_sub(count).filter(|&start| start >= self.floor()).ok_or_else(|| "a value is missing".to_owned())
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.below_top(1)?;
        self.stack.pop().ok_or_else(|| "a value is missing".to_owned())
    }

    fn top(&self) -> Result<Id, String> {
        Ok(self.stack[self.below_top(1)?])
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    fn extend(&mut self, more: Vec<Id>) -> Result<(), String> {
        let top = self.top()?;
        match &mut self.values[top as usize] {
            Value::List(elements) | Value::Object { elements, .. } => elements.extend(more),
            _ => return Err("elements are given to what is no list".into()),
        }
        Ok(())
    }

    fn insert(&mut self, pairs: Vec<Id>) -> Result<(), String> {
        if !pairs.len().is_multiple_of(2) {
            return Err("a key has no value".into());
        }
        let top = self.top()?;
        match &mut self.values[top as usize] {
            Value::Dict(items) | Value::Object { items, .. } => items.extend(pairs.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err("entries are given to what is no dictionary".into()),
        }
        Ok(())
    }
}

/// A whole number of up to eight bytes, signed; none when it has more.
fn little_endian(bytes: &[u8]) -> Option<i64> {
    if bytes.len() > 8 {
        return None;
    }
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut all = [if negative { 0xFF } else { 0 }; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    Some(i64::from_le_bytes(all))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_values_are_read() {
        // pickletools' picture of {"a": (1, -2, 2.5, None, True), "b": [300]}, protocol 2
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01(K\x01J\xfe\xff\xff\xffG@\x04\x00\x00\x00\x00\x00\x00N\x88tq\x02X\x01\x00\x00\x00bq\x03]q\x04M,\x01au.";
        let pickle = Pickle::read(bytes).unwrap();
        let a = pickle.entry(pickle.root(), "a").unwrap();
        let parts: Vec<&Value> = pickle.parts(a).unwrap().iter().map(|&id| pickle.get(id)).collect();
        assert_eq!(parts, [&Value::Int(1), &Value::Int(-2), &Value::Float(2.5), &Value::None, &Value::Bool(true)]);
        let b = pickle.entry(pickle.root(), "b").unwrap();
        assert_eq!(pickle.size(pickle.parts(b).unwrap()[0]), Some(300));
    }

    #[test]
    fn a_call_is_kept_and_not_made() {
        let pickle = Pickle::read(b"cos\nsystem\n(S'rm -rf /'\ntR.").unwrap();
        let (module, name, args) = pickle.call(pickle.root()).unwrap();
        assert_eq!((module, name, pickle.text(args[0])), ("os", "system", Some("rm -rf /")));
    }

    #[test]
    fn references_cost_a_number_each() {
        // Each tuple holds the one before twice: as copies, 2^1000 values.
        let mut bytes = b"\x80\x02)q\x00".to_vec();
        for _ in 0..1000 {
            bytes.extend_from_slice(b"h\x00h\x00\x86q\x00");
        }
        bytes.push(b'.');
        let pickle = Pickle::read(&bytes).unwrap();
        assert_eq!(pickle.values.len(), 1001);
    }

    #[test]
    fn a_list_may_hold_itself() {
        let pickle = Pickle::read(b"]q\x00h\x00a.").unwrap();
        assert_eq!(pickle.parts(pickle.parts(pickle.root).unwrap()[0]), pickle.parts(pickle.root));
    }

    #[test]
    fn broken_ones_are_refused() {
        for bytes in [
            &b""[..],
            b".",
            b"N",
            b"(.",
            b"N(0a.",
            b"X\xff\xff\xff\xffabc.",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.",
            b"h\x05.",
            b"}(Nu.",
            b"Na.",
            b"\x82\x01.",
            b"(o.",
            b"K\x01K\x02\x87.",
            b"Ix\n.",
        ] {
            assert!(Pickle::read(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Pickle::read(&bytes);
        }

        #[test]
        fn any_operations_are_read_or_refused(
            codes in proptest::collection::vec(proptest::sample::select(&b"()]}NKabceghijlopqrstudRQ01234567\x81\x85\x86\x87\x8f\x90\x91\x92\x93\x94.\n\x00\x01"[..]), 0..200)
        ) {
            let _ = Pickle::read(&codes);
        }

        #[test]
        fn whole_numbers_keep_their_value(number in any::<i64>(), length in 0usize..=8) {
            let bytes = number.to_le_bytes();
            let shift = 64 - 8 * length as u32;
            let expected = if length == 0 { 0 } else { (number << shift) >> shift };
            prop_assert_eq!(little_endian(&bytes[..length]), Some(expected));
        }
    }
}
