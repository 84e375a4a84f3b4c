package syncer

import (
	"errors"
	"os"
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
