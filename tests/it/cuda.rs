//! The stand-ins for CUDA's libraries (`scripts/lazy-cuda.py`), with a program in C that calls them: it starts where there is no CUDA, is
//! told so by every call, and finds the real library where there is one.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::support;

/// Calls one function of each library, one of them with arguments in registers of both kinds and on the stack.
const CALLER: &str = "
#include <stdio.h>
int cuInit(unsigned);
int cuManyArguments(int, int, int, int, int, int, int, int, double, double);
int cublasCreate_v2(void **);
int cublasLtCreate(void **);
int curandSetSeed(void *, long);
int nvrtcVersion(int *, int *);
int main(void) {
    void *handle = 0;
    int major, minor;
    printf(\"%d %d %d\\n\", cuInit(0), cuInit(0), cuManyArguments(1, 2, 3, 4, 5, 6, 7, 8, 0.5, 0.25));
    printf(\"%d %d %d %d\\n\", cublasCreate_v2(&handle), cublasLtCreate(&handle), curandSetSeed(handle, 1), nvrtcVersion(&major, &minor));
}";

/// A driver that lacks one function.
const DRIVER: &str = "
int cuManyArguments(int a, int b, int c, int d, int e, int f, int g, int h, double x, double y) {
    return x == 0.5 && y == 0.25 ? a + 10 * (b + 10 * (c + 10 * (d + 10 * (e + 10 * (f + 10 * (g + 10 * h)))))) : -1;
}";

fn run(folder: &Path, program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).current_dir(folder).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn a_program_for_cuda_starts_without_cuda() {
    let dir = support::temp_dir();
    let folder = dir.path();
    fs::write(folder.join("caller.c"), CALLER).unwrap();
    fs::write(folder.join("driver.c"), DRIVER).unwrap();
    run(folder, "cc", &["-O2", "-c", "caller.c"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lazy-cuda.py");
    run(folder, "python3", &[script.to_str().unwrap(), ".", "caller.o"]);
    let libraries = ["-L.", "-lcuda", "-lcublas", "-lcublasLt", "-lcurand", "-lnvrtc"];
    run(folder, "cc", &[&["caller.o", "-o", "caller"], &libraries[..]].concat());
    let said = |path: &str| {
        let output = Command::new(folder.join("caller")).env("LD_LIBRARY_PATH", path).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // On a machine with CUDA the real libraries answer.
    let has_cuda = |name: &str| run(folder, "/sbin/ldconfig", &["-p"]).stdout.windows(name.len()).any(|found| found == name.as_bytes());
    if ["libcuda.so", "libcublas", "libcurand.so", "libnvrtc.so"].into_iter().any(has_cuda) {
        eprintln!("skipped: there is CUDA here");
        return;
    }
    assert_eq!(said(""), "100 100 100\n1 1 203 11\n");
    run(folder, "cc", &["-shared", "-fPIC", "driver.c", "-o", "libcuda.so.1"]);
    assert_eq!(said(folder.to_str().unwrap()), "500 500 87654321\n1 1 203 11\n");
}
