package main

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"github.com/google/pprof/profile"

	"pgp.internal/defender/cmd/defenderbench/internal/report"
)

// sumProfiles adds up the values of one kind over several profiles, by package, the largest first.
func sumProfiles(kind string, files []string) ([]report.Share, error) {
	sums := map[string]float64{}
	for _, name := range files {
		if err := addProfile(sums, kind, name); err != nil {
			return nil, err
		}
	}
	var shares []report.Share
	for name, value := range sums {
		shares = append(shares, report.Share{Name: name, Value: value})
	}
	slices.SortFunc(shares, func(a, b report.Share) int { return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Name, b.Name)) })
	return shares, nil
}

func addProfile(sums map[string]float64, kind, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it is only read
	p, err := profile.Parse(file)
	if err != nil {
		return err
	}
	for place, t := range p.SampleType {
		if t.Type != kind {
			continue
		}
		unit := 1.0
		if t.Unit == "nanoseconds" {
			unit = 1e-9
		}
		for _, s := range p.Sample {
			if s.Value[place] != 0 {
				sums[owner(s)] += float64(s.Value[place]) * unit
			}
		}
	}
	return nil
}

// owner is the package that a sample is put down to: the nearest caller outside of the runtime and the standard library, of which
// only HTTP, JSON and cryptography stand for themselves.
func owner(s *profile.Sample) string {
	collecting := false
	for _, at := range s.Location {
		for _, line := range at.Line {
			if line.Function == nil {
				continue
			}
			name := line.Function.Name
			collecting = collecting || strings.HasPrefix(name, "runtime.gcBgMark") || strings.HasPrefix(name, "runtime.bgs")
			if p := packageOf(name); owns(p) {
				return strings.TrimPrefix(p, "pgp.internal/defender/")
			}
		}
	}
	if collecting {
		return "garbage collection"
	}
	return "scheduling and other of the runtime"
}

func owns(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return strings.Contains(first, ".") || first == "crypto" || p == "net/http" || p == "encoding/json"
}

// packageOf cuts a package's path out of the name of a function; instances of generic ones have paths in their brackets.
func packageOf(function string) string {
	function, _, _ = strings.Cut(function, "[")
	slash := strings.LastIndexByte(function, '/') + 1
	name, _, _ := strings.Cut(function[slash:], ".")
	return function[:slash] + name
}
