package syncer

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"pgp.internal/defender/internal/inventory"
)

// TestAListKeepsItsSumsWhenItIsFull goes beyond what is listed line by line.
func TestAListKeepsItsSumsWhenItIsFull(t *testing.T) {
	t.Parallel()
	const machines, pairs = 60_000, 220_000
	lines, size := 0, 0
	l := newSkipList()
	id := func(n int) string {
		return fmt.Sprintf("%x", sha256.Sum256([]byte{byte(n), byte(n >> 8), byte(n >> 16)}))[:40]
	}
	for n := range machines {
		l.machine(int32(n), inventory.PlatformMobile, Sample{SourceID: id(n), Name: fmt.Sprintf("phone-%d", n), Detail: "iOS"})
	}
	for n := range machines {
		if n%2 == 0 {
			l.takeBack(int32(n), inventory.PlatformMobile)
		}
	}
	var machine string
	for n := range pairs {
		if n%200 == 0 {
			machine = id(n)
		}
		v := &knownVulnerability{id: int32(n%2000 + 1), name: fmt.Sprintf("CVE-2026-%d", n%2000)}
		l.row(inventory.AssetNotImported, v, machine)
	}
	chunks, err := l.chunks()
	if err != nil {
		t.Fatal(err)
	}
	var records int64
	for i := range chunks {
		unpacked, err := chunks[i].Unpack()
		if err != nil || len(unpacked) != chunks[i].Lines {
			t.Fatalf("%d lines of %d, %v", len(unpacked), chunks[i].Lines, err)
		}
		for _, line := range unpacked {
			records += line.Records
		}
		lines, size = lines+len(unpacked), size+len(chunks[i].Body)
	}
	if want := int64(machines/2 + pairs); records != want {
		t.Errorf("%d records, want %d", records, want)
	}
	t.Logf("%d lines, %d bytes", lines, size)
	if lines > MaxSkippedMachines+maxSkippedRows+2001 || size > 4<<20 {
		t.Errorf("%d lines, %d bytes", lines, size)
	}
}

// TestRowsAreTakenBackFromAFullList moves rows to another reason, of vulnerabilities that the list names and of ones that it drew together.
func TestRowsAreTakenBackFromAFullList(t *testing.T) {
	t.Parallel()
	const vulnerabilities = 2*maxSkippedRows + 5000
	l := newSkipList()
	of := func(n int) *knownVulnerability {
		return &knownVulnerability{id: int32(n + 1), name: fmt.Sprintf("CVE-2026-%d", n)}
	}
	for n := range vulnerabilities {
		l.row(inventory.VectorIsLocal, of(n), "")
	}
	l.row(inventory.VectorIsLocal, of(1), "")
	moved := int64(0)
	for n := 0; n < vulnerabilities; n += 50 {
		l.takeBackRow(inventory.RowReasonCode(inventory.VectorIsLocal), of(n).id)
		l.row(inventory.AssetNotImported, of(n), "m")
		moved++
	}
	for range 2 {
		l.takeBackRow(inventory.RowReasonCode(inventory.VectorIsLocal), of(1).id)
	}
	l.dropEmpty()
	sums := map[inventory.Reason]int64{}
	for key, n := range l.rows {
		reason := inventory.RowReasonOf(key.reason)
		if sums[reason] += n; n < 1 || reason == inventory.VectorIsLocal && key.vulnerability == of(1).id {
			t.Errorf("a line of no row: %+v", key)
		}
	}
	if sums[inventory.AssetNotImported] != moved || sums[inventory.VectorIsLocal] != vulnerabilities+1-moved-2 {
		t.Errorf("%v, want %d moved", sums, moved)
	}
}
