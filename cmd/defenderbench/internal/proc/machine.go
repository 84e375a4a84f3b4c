package proc

import (
	"os"
	"runtime"
	"strings"
)

// Machine is what a reader of figures wants to know of where they were made.
type Machine struct {
	CPU       string `json:"cpu"`
	Cores     int    `json:"cores"` // that this program may use
	MemoryMiB int64  `json:"memory_mib"`
	Kernel    string `json:"kernel"`
}

// ThisMachine looks; what cannot be found stays empty.
func ThisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), CPU: runtime.GOARCH, Kernel: runtime.GOOS}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = modelName(string(text), m.CPU)
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		bytes, _ := kibibytes(string(text), "MemTotal") // 0 is as good as unknown
		m.MemoryMiB = bytes >> 20
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + strings.TrimSpace(string(text))
	}
	return m
}

// modelName is missing from /proc/cpuinfo on some architectures.
func modelName(cpuinfo, otherwise string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return otherwise
}
