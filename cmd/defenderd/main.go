// Command defenderd is the service: it connects customers' Microsoft Defender to PGP, and carries the operator's commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Set by the linker.
var (
	version  = "dev"
	revision = "" // of the sources
)

// Exit statuses besides 0. Usage errors have one of their own, as with the tools of the system.
const (
	exitFailure  = 1
	exitUsage    = 2
	exitUnproven = 3
)

func main() {
	collectLate()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, unless it comes with the first: a terminal or a supervisor signals the whole
	// group, and a script in it may pass the signal on.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	err := run(ctx, os.Args, os.Environ(), os.Stdout, os.Stderr)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "defenderd:", err)
	os.Exit(exitOf(err))
}

func exitOf(err error) int {
	var usage usageError
	var unproven unprovenError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unproven):
		return exitUnproven
	default:
		return exitFailure
	}
}
