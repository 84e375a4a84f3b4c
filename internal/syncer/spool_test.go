package syncer

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// TestAFullDiskIsNoDefect fills the spool and the places of a run on a disk without room, and fails them in another way.
func TestAFullDiskIsNoDefect(t *testing.T) {
	t.Parallel()
	paths := inventory.Row{DiskPaths: []string{`C:\Program Files\Contoso\contoso.exe`}}
	writes := map[string]func(f *os.File) error{
		"rows": func(f *os.File) (err error) {
			s := newSpool(f, 1, false)
			for n := 0; n <= spoolChunk/spoolRow && err == nil; n++ {
				err = s.add(&spooledRow{vulnerability: int32(n)})
			}
			return err
		},
		"places": func(f *os.File) (err error) {
			l := newLocations(f)
			for n := 0; n < 2000 && err == nil; n++ {
				_, err = l.write(&paths)
			}
			return err
		},
		"the last places": func(f *os.File) error {
			l := newLocations(f)
			_, err := l.write(&paths)
			return errors.Join(err, l.each(func(StagedLocation) error { return nil }))
		},
	}
	for name, write := range writes {
		full, err := os.OpenFile("/dev/full", os.O_RDWR, 0) // where writing fails for want of room
		if err != nil {
			t.Fatal(err)
		}
		err = write(full)
		if f := fault.As(err); err == nil || f.Code != fault.CodeDiskFull || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s on a full disk: %v", name, err)
		}
		if err := full.Close(); err != nil {
			t.Error(err)
		}
		if err := write(full); err == nil || fault.As(err).Code != fault.CodeInternal {
			t.Errorf("%s into a closed file: %v", name, err)
		}
	}
}

// TestRowsComeBackInOrder spools rows of some hundred and of some thousand machines as they come, so that buckets are one machine wide and
// more, and one machine fills its bucket several times over.
func TestRowsComeBackInOrder(t *testing.T) {
	t.Parallel()
	for _, machines := range []int{300, 5000} {
		f, err := unnamedFile(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s, random := newSpool(f, machines, false), rand.New(rand.NewPCG(1, uint64(machines)))
		var want []spooledRow
		for n := range int32(20_000) {
			r := spooledRow{
				machine: random.Int32N(int32(machines)), vulnerability: n, software: random.Int32(), location: random.Int64(), firstSeen: random.Uint32(),
				severity: inventory.SeverityHigh, source: 2, vector: 3, reason: uint8(n % 4),
			}
			if n%4 == 0 {
				r.machine = int32(machines) - 1
			}
			if err := s.add(&r); err != nil {
				t.Fatal(err)
			}
			if wantedHere(r.machine) {
				want = append(want, r)
			}
		}
		slices.SortFunc(want, func(a, b spooledRow) int { return cmp.Or(cmp.Compare(a.machine, b.machine), a.compare(b)) })
		var got []spooledRow
		err = errors.Join(s.each(wantedHere, func(machine int32, rows []spooledRow) error {
			if rows[0].machine != machine || rows[len(rows)-1].machine != machine {
				t.Errorf("rows of machine %d came as those of machine %d", rows[0].machine, machine)
			}
			got = append(got, rows...)
			return nil
		}), s.close())
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("of %d machines: %d rows came back, %d had been spooled, or in another order: %v", machines, len(got), len(want), err)
		}
	}
}

func wantedHere(machine int32) bool { return machine%7 != 0 }
