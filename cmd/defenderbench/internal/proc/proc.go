// Package proc reads from Linux's /proc what processes have used, and what machine this is.
package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor time in /proc; the kernel shows hundredths to programs on every architecture.
const tick = time.Second / 100

// Process is what /proc tells of one process.
type Process struct {
	PID, Parent int
	Name        string
	Own         time.Duration // processor time of the process itself
	Ended       time.Duration // of those children that it has waited for
}

// Read looks at one process.
func Read(pid int) (Process, error) {
	text, err := os.ReadFile(path(pid, "stat"))
	if err != nil {
		return Process{}, fmt.Errorf("read the processor time of process %d: %w", pid, err)
	}
	return parseStat(string(text))
}

// parseStat reads a line of /proc/PID/stat. The name stands in parentheses and may hold any of the signs that separate.
func parseStat(line string) (Process, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return Process{}, errors.New("a line of stat without a name")
	}
	fields := strings.Fields(line[end+1:])
	const parent, user, last = 1, 11, 14 // counted from the state behind the name
	if len(fields) <= last {
		return Process{}, errors.New("a line of stat that is too short")
	}
	p := Process{Name: line[open+1 : end]}
	var ticks [last - user + 1]int64
	var errs []error
	number := func(text string) int64 {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		errs = append(errs, err)
		return n
	}
	p.PID, p.Parent = int(number(line[:open])), int(number(fields[parent]))
	for i := range ticks {
		ticks[i] = number(fields[user+i])
	}
	p.Own, p.Ended = time.Duration(ticks[0]+ticks[1])*tick, time.Duration(ticks[2]+ticks[3])*tick
	return p, errors.Join(errs...)
}

// CPU is the processor time of one process.
func CPU(pid int) (time.Duration, error) {
	p, err := Read(pid)
	return p.Own, err
}

// CPUOfFamily is the processor time of a process and its children, living and ended: a database server is a process for
// each connection, and they come and go. It is read anew when one went meanwhile, whose time would be missing or count twice.
func CPUOfFamily(pid int) (time.Duration, error) {
	before, err := Read(pid)
	for err == nil {
		var children time.Duration
		if children, err = ofChildren(pid); err != nil {
			break
		}
		var after Process
		if after, err = Read(pid); err == nil && after.Ended == before.Ended {
			return after.Own + after.Ended + children, nil
		}
		before = after
	}
	return 0, err
}

// ofChildren is the processor time of the living ones, with that of the children of their own that ended.
func ofChildren(pid int) (sum time.Duration, err error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has just ended
		}
		if p, err := parseStat(string(text)); err == nil && p.Parent == pid {
			sum += p.Own + p.Ended
		}
	}
	return sum, err
}

// ResetPeak makes the peak of resident memory begin anew at what is resident now.
func ResetPeak(pid int) error {
	if err := os.WriteFile(path(pid, "clear_refs"), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset the peak memory of process %d: %w", pid, err)
	}
	return nil
}

// Peak is the most resident memory since the last reset, in bytes.
func Peak(pid int) (int64, error) {
	text, err := os.ReadFile(path(pid, "status"))
	if err != nil {
		return 0, fmt.Errorf("read the peak memory of process %d: %w", pid, err)
	}
	return kibibytes(string(text), "VmHWM")
}

// kibibytes finds a line such as "VmHWM:    5120 kB" and gives it in bytes.
func kibibytes(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		return n << 10, err
	}
	return 0, fmt.Errorf("there is no line %s", name)
}

func path(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }
