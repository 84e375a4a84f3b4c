// Command defenderd is the service: it connects customers' Microsoft Defender to PGP, and carries the operator's commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Set by the linker.
var (
	version  = "dev"
	revision = "" // of the sources
)

// Exit statuses besides 0. Usage errors have one of their own, as with the tools of the system.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	collectLate()
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
