#!/usr/bin/env bash
# Usage: scripts/carry-cancellation.sh PairlightBridge.swift | pairlight_bindings.kt
#
# What the generator lacks where a call is cancelled, added to the generated file. Fails when that is not as it is expected here.
# - Swift: it carries a cancelled coroutine of Kotlin to the Rust side, and a cancelled Task not yet. A call whose task is
#   cancelled ends at once with `CancellationError`, and its work is dropped, by functions that the library exports for it.
# - Kotlin: what had just come when the coroutine was cancelled was nobody's, and never freed: an account stayed open, a line
#   online. It is taken and closed.
set -euo pipefail

case $1 in
    *.swift)
        perl -0777 -pi -e '
            my $calls = () = /\bpollFunc: ffi_\w+_rust_future_poll_\w+,/g;
            my $carried = s/(\bpollFunc: (ffi_\w+_rust_future_)poll_(\w+),)/$1\n            cancelFunc: { $2cancel_$3(\$0) },/g;
            my $parameter = s/(\n    pollFunc: \(UInt64, \@escaping UniffiRustFutureContinuationCallback, UInt64\) -> \(\),\n)/$1    cancelFunc: \@escaping \@Sendable (UInt64) -> (),\n/;
            my $loop = s/    var pollResult: Int8;\n    repeat \{\n(.*?)    \} while pollResult != UNIFFI_RUST_FUTURE_POLL_READY\n/    await withTaskCancellationHandler {\n        var pollResult: Int8;\n        repeat {\n$1        } while pollResult != UNIFFI_RUST_FUTURE_POLL_READY\n    } onCancel: {\n        cancelFunc(rustFuture)\n    }\n/s;
            my $thrown = s/fatalError\("Cancellation not supported yet"\)/throw CancellationError()/;
            die "the generated Swift is not what scripts\/carry-cancellation.sh knows\n"
                unless $calls > 0 && $carried == $calls && $parameter == 1 && $loop == 1 && $thrown == 1;
        ' "$1"
        ;;
    *.kt)
        perl -0777 -pi -e '
            my $call = "liftFunc(uniffiRustCallWithError(errorHandler, { status -> completeFunc(rustFuture, status) }))";
            my $closed = s/(    \} while \(pollResult != UNIFFI_RUST_FUTURE_POLL_READY\);\n.*?\n)(    \} finally \{\n        freeFunc\(rustFuture\)\n)/$1    } catch (e: kotlin.coroutines.cancellation.CancellationException) {\n        \/\/ Throws when nothing has come.\n        runCatching { Disposable.destroy($call) }\n        throw e\n$2/sg;
            die "the generated Kotlin is not what scripts\/carry-cancellation.sh knows\n" unless $closed == 1;
        ' "$1"
        ;;
    *)
        echo "usage: scripts/carry-cancellation.sh PairlightBridge.swift | pairlight_bindings.kt" >&2
        exit 2
        ;;
esac
