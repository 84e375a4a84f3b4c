// Command defenderd is the service: it connects customers' Microsoft Defender to PGP, and carries the operator's commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// version is set by the linker.
var version = "dev"

// Exit statuses besides 0. Usage errors have one of their own, as with the tools of the system.
const (
	exitFailure = 1
	exitUsage   = 2
)

// collectAt lets the heap grow to three times what is in use before it is collected, instead of twice. The service holds some ten
// MiB however large a customer is and makes short-lived values by the thousand: a quarter of its time went into collecting.
const collectAt = 200

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args, os.Environ(), os.Stdout, os.Stderr)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "defenderd:", err)
	var usage usageError
	if errors.As(err, &usage) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailure)
}
