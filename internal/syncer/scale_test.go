//go:build scale

package syncer_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/syncer"
)

// TestScale syncs a large directory twice and holds the peak resident memory of this process, which does all the
// service's work, under its ceiling. The simulator runs as a process of its own. Set SCALE_MACHINES and SCALE_FINDINGS
// for other sizes.
func TestScale(t *testing.T) {
	machines, findings := number("SCALE_MACHINES", 20_000), number("SCALE_FINDINGS", 88)
	ceiling := number("SCALE_CEILING_MIB", 256)
	h := newHouse(t, 0, 0)
	h.server.URL = startSimulator(t, machines, findings)
	h.wire(defender.Config{})
	i := h.connect(h.tenant, nil)

	began := time.Now()
	first := h.work()
	took := time.Since(began)
	report(t, "first sync", first, took)
	began = time.Now()
	second := h.again(i, syncer.Incremental)
	report(t, "unchanged re-sync", second, time.Since(began))

	if first.State != syncer.Succeeded || second.State != syncer.Succeeded || !second.Report.NoChanges {
		t.Errorf("the runs ended %s and %s, no changes %v: %+v", first.State, second.State, second.Report.NoChanges, second.Report.Error)
	}
	peak := peakMiB(t)
	t.Logf("peak resident memory %d MiB", peak)
	if peak > ceiling {
		t.Errorf("peak resident memory %d MiB, ceiling %d MiB", peak, ceiling)
	}
}

func report(t *testing.T, what string, run syncer.Run, took time.Duration) {
	t.Helper()
	rows := run.Report.StageNamed(syncer.StageVulnerabilities)
	t.Logf("%s: %d rows in %.1f s = %.0f rows/s; %s", what, rows.Counts.Fetched, took.Seconds(), float64(rows.Counts.Fetched)/took.Seconds(), run.Report.Summary)
	for _, s := range run.Report.Stages {
		t.Logf("  %-16s %6.1f s  fetched %8d  calls %3d  %6.1f MB", s.Name, s.Duration.Seconds(), s.Counts.Fetched, s.Calls, float64(s.Bytes)/1e6)
	}
}

func startSimulator(t *testing.T, machines, findings int) string {
	t.Helper()
	bin := t.TempDir() + "/defendersim"
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/defendersim").CombinedOutput(); err != nil {
		t.Fatalf("build the simulator: %v\n%s", err, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, bin, "--listen=127.0.0.1:0", "--control=127.0.0.1:0", "--quotas=false",
		"--machines="+strconv.Itoa(machines), "--findings="+strconv.Itoa(findings), "--catalogue=20000", "--directory="+directory, "--client-id="+client)
	cmd.Env = append(os.Environ(), "DEFENDERSIM_SECRET="+secret)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var addresses struct{ API string }
	if err := json.Unmarshal(line, &addresses); err != nil {
		t.Fatal(err)
	}
	return addresses.API
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

func peakMiB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	kib, err := strconv.Atoi(string(peakLine.FindSubmatch(status)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}
