#!/usr/bin/env bash
# Usage: scripts/carry-cancellation.sh PairlightBridge.swift
#
# The generator carries a cancelled coroutine of Kotlin to the Rust side, and a cancelled Task of Swift not yet. This adds what
# is missing to the generated file, with the functions that the library exports for it: a call whose task is cancelled ends at
# once with `CancellationError`, and its work is dropped. Fails when the generator writes something else than is expected here.
set -euo pipefail

perl -0777 -pi -e '
    my $calls = () = /\bpollFunc: ffi_\w+_rust_future_poll_\w+,/g;
    my $carried = s/(\bpollFunc: (ffi_\w+_rust_future_)poll_(\w+),)/$1\n            cancelFunc: { $2cancel_$3(\$0) },/g;
    my $parameter = s/(\n    pollFunc: \(UInt64, \@escaping UniffiRustFutureContinuationCallback, UInt64\) -> \(\),\n)/$1    cancelFunc: \@escaping \@Sendable (UInt64) -> (),\n/;
    my $loop = s/    var pollResult: Int8;\n    repeat \{\n(.*?)    \} while pollResult != UNIFFI_RUST_FUTURE_POLL_READY\n/    await withTaskCancellationHandler {\n        var pollResult: Int8;\n        repeat {\n$1        } while pollResult != UNIFFI_RUST_FUTURE_POLL_READY\n    } onCancel: {\n        cancelFunc(rustFuture)\n    }\n/s;
    my $thrown = s/fatalError\("Cancellation not supported yet"\)/throw CancellationError()/;
    die "the generated Swift is not what scripts\/carry-cancellation.sh knows\n"
        unless $calls > 0 && $carried == $calls && $parameter == 1 && $loop == 1 && $thrown == 1;
' "$1"
