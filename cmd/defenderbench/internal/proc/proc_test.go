package proc

import (
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

func TestStatIsRead(t *testing.T) {
	t.Parallel()
	line := "1234 (postgres: a) (b) R) S 99 1 1 0 -1 4194560 25 6 7 8 150 50 20 30 20 0 1 0 5 6 7\n"
	got, err := parseStat(line)
	want := Process{PID: 1234, Parent: 99, Name: "postgres: a) (b) R", Own: 2 * time.Second, Ended: 500 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("%+v, want %+v, %v", got, want, err)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 2", "1 (x) S a 1 1 0 -1 0 25 6 7 8 150 50 20 30 20"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestMemoryIsRead(t *testing.T) {
	t.Parallel()
	const status = "Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t  5120 kB\nVmRSS:\t 100 kB\n"
	if got, err := kibibytes(status, "VmHWM"); got != 5<<20 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"", "VmHWM:\tmuch kB\n"} {
		if _, err := kibibytes(bad, "VmHWM"); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestModelName(t *testing.T) {
	t.Parallel()
	if got := modelName("processor\t: 0\nmodel name\t: Fast CPU @ 3: GHz\n", "arm"); got != "Fast CPU @ 3: GHz" {
		t.Error(got)
	}
	if got := modelName("processor\t: 0\n", "arm64"); got != "arm64" {
		t.Error(got)
	}
}

// TestThisProcess tries the real thing.
func TestThisProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/clear_refs"); err != nil {
		t.Skip("there is no Linux /proc here")
	}
	pid := os.Getpid()
	began, err := CPU(pid)
	if err != nil {
		t.Fatal(err)
	}
	for now := began; now < began+50*time.Millisecond; {
		if now, err = CPU(pid); err != nil {
			t.Fatal(err)
		}
	}
	ours, err := CPUOfFamily(os.Getppid())
	if err != nil || ours < 50*time.Millisecond {
		t.Errorf("the family used %v, %v", ours, err)
	}
	held := make([]byte, 64<<20)
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	if peak, err := Peak(pid); err != nil || peak < 64<<20 {
		t.Errorf("peak %d, %v", peak, err)
	}
	if err := ResetPeak(pid); err != nil {
		t.Error(err)
	}
	if m := ThisMachine(); m.Cores < 1 || m.MemoryMiB < 64 || m.CPU == "" {
		t.Errorf("%+v", m)
	}
	_ = held[0]
}

// TestNoTimeOfTheFamilyIsLost reads it while children end: a backend ends with the import that it worked for, when the benchmark reads, too.
func TestNoTimeOfTheFamilyIsLost(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no Linux /proc here")
	}
	var children sync.WaitGroup
	ended := make(chan struct{})
	for range 2 {
		children.Go(func() {
			for range 25 {
				if err := exec.Command("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done").Run(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() {
		children.Wait()
		close(ended)
	}()
	for last := time.Duration(0); ; {
		now, err := CPUOfFamily(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if now < last {
			t.Errorf("%v after %v", now, last)
		}
		last = now
		select {
		case <-ended:
			return
		default:
		}
	}
}
