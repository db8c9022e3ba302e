#!/usr/bin/env python3
"""Makes static stand-ins for CUDA's libraries, so that one program starts with and without CUDA.

    scripts/lazy-cuda.py OUT FILE…      FILEs: objects, archives and rlibs that call CUDA; OUT: folder for lib*.a

A program that is linked with libcuda.so does not start where there is none. Each function of the stand-ins jumps to the real one: the
first call opens the library and looks the function up. Where there is no such library, or it lacks the function, the call returns an
error code of its kind, which is a value of the kind's enumeration, as the bindings in Rust ask.

x86-64 Linux only: the jump is written in assembly, since the arguments of a function it knows nothing about have to arrive as they were.
Needs nm, cc and ar.
"""

import pathlib
import re
import subprocess
import sys
from typing import NamedTuple


class Library(NamedTuple):
    name: str
    functions: str  # what its functions are called, as a regular expression
    files: list[str]  # what the loader is asked for, in this order
    absent: int  # what a call returns where there is no library
    lacking: int  # … and where the library has no such function


LIBRARIES = [
    # CUDA_ERROR_NO_DEVICE, CUDA_ERROR_NOT_FOUND
    Library("cuda", r"cu[A-Z]", ["libcuda.so.1", "libcuda.so"], 100, 500),
    # CUBLAS_STATUS_NOT_INITIALIZED, CUBLAS_STATUS_NOT_SUPPORTED
    Library("cublas", r"cublas(?!Lt)", ["libcublas.so.13", "libcublas.so.12", "libcublas.so"], 1, 15),
    Library("cublasLt", r"cublasLt", ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"], 1, 15),
    # CURAND_STATUS_INITIALIZATION_FAILED, CURAND_STATUS_INTERNAL_ERROR
    Library("curand", r"curand", ["libcurand.so.10", "libcurand.so"], 203, 999),
    # NVRTC_ERROR_INTERNAL_ERROR
    Library("nvrtc", r"nvrtc", ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"], 11, 11),
]

# What a caller has put its arguments into; a vararg function finds a count in rax.
REGISTERS = ["rdi", "rsi", "rdx", "rcx", "r8", "r9", "rax", "r10"]


def functions_called(files: list[str]) -> list[str]:
    said = subprocess.run(["nm", "-u", *files], capture_output=True, text=True, check=False).stdout
    return sorted({line.split()[-1] for line in said.splitlines() if line.startswith(" ") and line.strip()})


def assembly(library: Library, functions: list[str]) -> str:
    lines = [".text"]
    for at, function in enumerate(functions):
        lines += [
            f".globl {function}",
            f".type {function},@function",
            f"{function}: jmp *hm_{library.name}_slots+{8 * at}(%rip)",
            f"hm_{library.name}_first_{at}: pushq ${at}",
            f"jmp hm_{library.name}_first",
        ]
    # The stack lies on a multiple of 16 bytes at the call: the return address, the number and eight registers lie on it.
    lines += [f"hm_{library.name}_first:"]
    lines += [f"pushq %{register}" for register in REGISTERS]
    lines += ["subq $128, %rsp"] + [f"movdqu %xmm{at}, {16 * at}(%rsp)" for at in range(8)]
    lines += ["movq 192(%rsp), %rdi", f"call hm_{library.name}_resolve", "movq %rax, %r11"]
    lines += [f"movdqu {16 * at}(%rsp), %xmm{at}" for at in range(8)] + ["addq $128, %rsp"]
    lines += [f"popq %{register}" for register in reversed(REGISTERS)]
    lines += ["addq $8, %rsp", "jmp *%r11"]
    lines += [".section .data.rel, \"aw\", @progbits", ".align 8", f".globl hm_{library.name}_slots", f".hidden hm_{library.name}_slots"]
    lines += [f"hm_{library.name}_slots:"] + [f".quad hm_{library.name}_first_{at}" for at in range(len(functions))]
    lines += [".section .note.GNU-stack, \"\", @progbits"]
    return "\n".join(lines) + "\n"


def resolver(library: Library, functions: list[str]) -> str:
    names = ", ".join(f'"{function}"' for function in functions)
    files = ", ".join(f'"{file}"' for file in library.files)
    hidden = '__attribute__((visibility("hidden")))'
    # Two threads may come at once: both find the same, and each of their writes is of one word.
    return f"""
#include <dlfcn.h>
#include <stddef.h>
extern {hidden} void *hm_{library.name}_slots[];
static const char *const names[] = {{{names}}};
static const char *const files[] = {{{files}}};
static int absent(void) {{ return {library.absent}; }}
static int lacking(void) {{ return {library.lacking}; }}
{hidden} void *hm_{library.name}_resolve(long at) {{
    void *library = NULL;
    for (size_t file = 0; !library && file < sizeof files / sizeof *files; file++)
        library = dlopen(files[file], RTLD_NOW | RTLD_GLOBAL);
    void *found = library ? dlsym(library, names[at]) : NULL;
    if (!found)
        found = library ? (void *)lacking : (void *)absent;
    __atomic_store_n(&hm_{library.name}_slots[at], found, __ATOMIC_RELEASE);
    return found;
}}
"""


def main() -> None:
    out, called = pathlib.Path(sys.argv[1]), functions_called(sys.argv[2:])
    for library in LIBRARIES:
        functions = [function for function in called if re.match(library.functions, function)]
        jumps, resolve = out / f"hm_{library.name}_jumps", out / f"hm_{library.name}_resolve"
        archive = out / f"lib{library.name}.a"
        jumps.with_suffix(".s").write_text(assembly(library, functions))
        resolve.with_suffix(".c").write_text(resolver(library, functions))
        for source in (jumps.with_suffix(".s"), resolve.with_suffix(".c")):
            subprocess.check_call(["cc", "-O2", "-fPIC", "-c", source, "-o", source.with_suffix(".o")])
        archive.unlink(missing_ok=True)
        subprocess.check_call(["ar", "rcs", archive, jumps.with_suffix(".o"), resolve.with_suffix(".o")])
        print(f"lib{library.name}.a: {len(functions)} functions")


if __name__ == "__main__":
    main()
