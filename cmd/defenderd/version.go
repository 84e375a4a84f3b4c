package main

import (
	"cmp"
	"context"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/internal/metrics"
)

// thisBuild says what is running. The revision comes from the linker, or from Go's own version stamping.
func thisBuild() metrics.Build {
	return metrics.Build{Version: version, Revision: cmp.Or(revision, stamped(), "unknown"), GoVersion: runtime.Version()}
}

func stamped() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

func (p *program) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "show what is running", Flags: []cli.Flag{outputFlag()}, Description: "Example:\n\n    defenderd version -o json",
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			b := thisBuild()
			return show(p.stdout, cmd, map[string]string{"version": b.Version, "revision": b.Revision, "go": b.GoVersion},
				[]string{"defenderd", b.Version}, []string{"revision", b.Revision}, []string{"go", b.GoVersion})
		},
	}
}
