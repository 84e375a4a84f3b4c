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
	"syscall"
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

	began := startWatch(t)
	first := h.work()
	began.report("first sync", first)
	began = startWatch(t)
	second := h.again(i, syncer.Incremental)
	began.report("unchanged re-sync", second)

	if first.State != syncer.Succeeded || second.State != syncer.Succeeded || !second.Report.NoChanges {
		t.Errorf("the runs ended %s and %s, no changes %v: %+v", first.State, second.State, second.Report.NoChanges, second.Report.Error)
	}
	peak := peakMiB(t)
	t.Logf("peak resident memory %d MiB", peak)
	if peak > ceiling {
		t.Errorf("peak resident memory %d MiB, ceiling %d MiB", peak, ceiling)
	}
}

// watch measures a run: time on the wall, and this process's time on the processors, which other programs disturb less.
type watch struct {
	t         *testing.T
	at        time.Time
	processor time.Duration
}

func startWatch(t *testing.T) watch { return watch{t, time.Now(), processorTime(t)} }

func processorTime(t *testing.T) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func (w watch) report(what string, run syncer.Run) {
	w.t.Helper()
	took, processor := time.Since(w.at), processorTime(w.t)-w.processor
	rows := run.Report.StageNamed(syncer.StageVulnerabilities)
	n := rows.Counts.Fetched
	w.t.Logf("%s: %d rows, %.0f MB in %.1f s = %.0f rows/s; %.2f µs of processor time a row; %s",
		what, n, float64(rows.Bytes)/1e6, took.Seconds(), float64(n)/took.Seconds(), processor.Seconds()*1e6/float64(n), run.Report.Summary)
}

func startSimulator(t *testing.T, machines, findings int) string {
	t.Helper()
	bin := t.TempDir() + "/defendersim"
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/defendersim").CombinedOutput(); err != nil {
		t.Fatalf("build the simulator: %v\n%s", err, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, bin, "--listen=127.0.0.1:0", "--control=127.0.0.1:0", "--quotas=false", "--page-cache=4096",
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
