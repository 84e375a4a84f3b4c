package pgserver

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

const (
	sharedMemory = "/dev/shm"
	tmpfsMagic   = 0x01021994 // see statfs(2)
	memoryRoom   = 8 << 30    // bytes; the largest tests with temporary data take less than a quarter of it
)

// inMemory is a directory in memory with room for temporary data, if the system has one: a database is made there in a third of the
// time that it takes on a disk, and tests make hundreds.
func inMemory() []string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(sharedMemory, &fs); err != nil || fs.Type != tmpfsMagic || fs.Bavail*uint64(fs.Bsize) < memoryRoom {
		return nil
	}
	if available() < memoryRoom {
		return nil
	}
	return []string{sharedMemory}
}

// available is how much memory the system could give away, in bytes; 0 if it does not say.
func available() (n uint64) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &n); err == nil {
			return n << 10
		}
	}
	return 0
}
