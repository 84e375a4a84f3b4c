package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/pprof/profile"

	"pgp.internal/defender/cmd/defenderbench/internal/report"
)

func TestProfilesAreSummedByPackage(t *testing.T) {
	t.Parallel()
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
	stack := func(nanoseconds int64, functions ...string) {
		s := &profile.Sample{Value: []int64{1, nanoseconds}}
		for _, name := range functions {
			f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name}
			l := &profile.Location{ID: uint64(len(p.Location) + 1), Line: []profile.Line{{Function: f}}}
			p.Function, p.Location, s.Location = append(p.Function, f), append(p.Location, l), append(s.Location, l)
		}
		p.Sample = append(p.Sample, s)
	}
	stack(2e9, "runtime.memmove", "bytes.Equal", "pgp.internal/defender/internal/connector/defender.(*record[go.shape.struct { a/b.C }]).next", "main.main")
	stack(1e9, "github.com/klauspost/compress/flate.(*decompressor).huffmanBufioReader", "pgp.internal/defender/internal/connector/defender.relay")
	stack(1e9, "crypto/internal/fips140/aes/gcm.gcmAesDec", "crypto/tls.(*Conn).Read", "github.com/klauspost/compress/flate.x")
	stack(3e9, "runtime.scanobject", "runtime.gcDrain", "runtime.gcBgMarkWorker")
	stack(5e8, "runtime.futex", "runtime.findRunnable")
	name := filepath.Join(t.TempDir(), "cpu.pprof")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := sumProfiles("cpu", []string{name, name})
	want := []report.Share{
		{Name: "garbage collection", Value: 6}, {Name: "internal/connector/defender", Value: 4}, {Name: "crypto/internal/fips140/aes/gcm", Value: 2},
		{Name: "github.com/klauspost/compress/flate", Value: 2}, {Name: "scheduling and other of the runtime", Value: 1},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
