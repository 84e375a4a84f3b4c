package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"pgp.internal/defender/cmd/defenderbench/internal/report"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
)

// readCommand makes this program read a directory's report with the service's client and throw the rows away: as a process
// of its own, whose processor time and memory are of nothing else.
const readCommand = "read-rows"

// secretVariable holds the application's secret for that process; arguments are for all to see.
const secretVariable = "DEFENDERBENCH_SECRET"

// reading is what that process tells.
type reading struct {
	Rows    int64   `json:"rows"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

func readRows(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet(readCommand, flag.ContinueOnError)
	api, caFile := fs.String("api", "", "address of the simulator"), fs.String("ca-file", "", "its certificate")
	id, client := fs.String("directory", "", "directory"), fs.String("client-id", "", "application")
	pageRows, via := fs.Int("page-rows", 0, "rows a page"), fs.String("via", string(connector.ViaPages), "pages or files")
	if err := fs.Parse(args); err != nil {
		return err
	}
	pem, err := os.ReadFile(*caFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c, err := defender.New(defender.Config{
		LoginURL: *api, APIURL: *api, AllowInsecure: true, RootCAs: roots, Budget: defender.Unlimited{}, Pages: defender.Pages{Rows: *pageRows},
	})
	if err != nil {
		return err
	}
	source := c.Open(connector.Credentials{DirectoryID: *id, ClientID: *client, Secret: seal.NewSecret(os.Getenv(secretVariable))})
	// The check gets the token, and makes the simulator count what the catalogue tells of the directory.
	if err := connector.Refusal(source.Check(ctx, connector.Probe{Assets: true, Vulnerabilities: true})); err != nil {
		return err
	}
	r, before, began := reading{}, source.Usage().Bytes, time.Now()
	err = source.Rows(ctx, connector.Via(*via), func(rows []inventory.Row) error {
		r.Rows += int64(len(rows))
		return nil
	})
	r.Seconds, r.Bytes = time.Since(began).Seconds(), source.Usage().Bytes-before
	return errors.Join(err, json.NewEncoder(out).Encode(r))
}

// read runs such a process for a directory. The simulator then has all pages of its present state ready, or all files.
func (s *simulator) read(ctx context.Context, d directory, via connector.Via, pageRows int) (*report.Decode, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, readCommand, "--api="+s.api, "--ca-file="+s.caFile, "--directory="+d.id, "--client-id="+d.client,
		"--page-rows="+strconv.Itoa(pageRows), "--via="+string(via))
	cmd.Env, cmd.Stderr = environment(secretVariable+"="+d.secret), os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("read the report of the simulator: %w", err)
	}
	var r reading
	if err := json.Unmarshal(out, &r); err != nil {
		return nil, err
	}
	result := &report.Decode{Rows: r.Rows, Bytes: r.Bytes, Seconds: r.Seconds, CPUSeconds: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()}
	if used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		result.PeakBytes = used.Maxrss << 10 // Linux counts it in KiB
	}
	return result, nil
}

// decode measures reading alone, with pages that are ready.
func (z *sizeRun) decode(ctx context.Context) error {
	if _, err := z.sim.read(ctx, z.sim.main, connector.ViaPages, z.o.pageRows); err != nil {
		return err
	}
	d, err := z.sim.read(ctx, z.sim.main, connector.ViaPages, z.o.pageRows)
	if err != nil {
		return err
	}
	z.result.Decode = d
	z.say("decode alone: %s rows in %.2f s", report.Count(d.Rows), d.Seconds)
	return nil
}
