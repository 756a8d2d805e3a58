"""Programs in C++ that call the service by Debian's libgrpc++."""

import shutil

import debian
from runner import ROOT, Violation

# Seconds for the contract's code, and for a program: a machine may be busy.
GENERATE, BUILD = 120, 1_800


class Missing(Violation):
    """A program that Debian cannot have unpacked, since its package must be installed."""


def program(root, name):
    """A program of an unpacked package, or of the system."""
    unpacked = root / "usr/bin" / name
    found = unpacked if unpacked.exists() else shutil.which(name)
    if not found:
        raise Missing(name)
    return found


def build(unpacked, work, source, must):
    """Builds a program of one file with the contract's code: its path, and the environment in which it runs.

    - unpacked: where packages are unpacked, once for all
    - work: an empty directory for what is generated
    - must: runs a command, given a name for its log, the arguments, seconds and the environment
    """
    root = debian.unpack(unpacked, "grpc++", ["libgrpc++-dev", "libprotobuf-dev", "protobuf-compiler",
                                              "protobuf-compiler-grpc"])
    environment = debian.libraries(root)
    must("generate", [
        program(root, "protoc"), "-I", ROOT / "Protos", f"--cpp_out={work}", f"--grpc_out={work}",
        f"--plugin=protoc-gen-grpc={program(root, 'grpc_cpp_plugin')}", "tollgate/v1/tollgate.proto"], GENERATE, environment)
    library = root / "usr/lib/x86_64-linux-gnu"
    built = work / source.stem
    must("build", [
        "clang++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-I", work, "-isystem", root / "usr/include", source,
        *sorted(work.glob("tollgate/v1/*.cc")), "-o", built, "-L", library, f"-Wl,-rpath-link,{library}", "-lgrpc++", "-lgrpc",
        "-lgpr", "-lprotobuf", "-labsl_synchronization", "-lpthread"], BUILD, environment)
    return built, environment
