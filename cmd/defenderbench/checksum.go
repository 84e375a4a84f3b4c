package main

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
)

// sum adds up the hashes of records, each 128 bits wide, so that the order of the records does not matter and two lots of
// records are equal if their sums are.
type sum struct {
	records   int64
	low, high uint64
}

// seeds are of this process alone: both lots are hashed by it, and nobody can choose records that collide.
var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func (s *sum) add(record []byte) {
	s.records++
	s.low += maphash.Bytes(seeds[0], record)
	s.high += maphash.Bytes(seeds[1], record)
}

// ledger keeps a sum for each machine, so that a difference can be named.
type ledger map[string]*sum

func (l ledger) add(machine string, record []byte) {
	s := l[machine]
	if s == nil {
		s = &sum{}
		l[strings.Clone(machine)] = s
	}
	s.add(record)
}

func (l ledger) records() (n int64) {
	for _, s := range l {
		n += s.records
	}
	return n
}

// differ tells how two ledgers differ, with some machines as examples; nil when they are equal.
func differ(what string, want, got ledger) error {
	var machines []string
	for machine := range maps.Keys(want) {
		if g := got[machine]; g == nil || *g != *want[machine] {
			machines = append(machines, machine)
		}
	}
	for machine := range maps.Keys(got) {
		if want[machine] == nil {
			machines = append(machines, machine)
		}
	}
	if len(machines) == 0 {
		return nil
	}
	slices.Sort(machines)
	return fmt.Errorf("%s of %d machines are not what the simulator says: %d in the tables, %d expected; for example those of %s",
		what, len(machines), got.records(), want.records(), strings.Join(machines[:min(3, len(machines))], ", "))
}
