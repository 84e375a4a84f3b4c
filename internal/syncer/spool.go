package syncer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"pgp.internal/defender/internal/inventory"
)

// spool keeps the judged rows of a run on disk until it is known which assets changed: 20 bytes a row, whatever the row's
// texts were. The file has no name any more once it is open, so that not even a killed process leaves it behind.
type spool struct {
	file   *os.File
	out    *bufio.Writer
	buffer [spoolRow]byte
	rows   int64
}

const spoolRow = 20

// spooledRow is a row with the machine's index in place of the asset's number, which may not be known yet.
type spooledRow struct {
	machine       int32
	software      int32
	vulnerability int32
	severity      inventory.Severity
	source        inventory.SeveritySource
	vector        inventory.AttackVector
	reason        uint8
	firstSeen     uint32 // Unix seconds, 0 when not told
}

func newSpool(dir string) (*spool, error) {
	f, err := unnamedFile(dir)
	if err != nil {
		return nil, err
	}
	return &spool{file: f, out: bufio.NewWriterSize(f, 256<<10)}, nil
}

// unnamedFile opens a file that vanishes with its last descriptor.
func unnamedFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "defenderd-spool-*")
	if err != nil {
		return nil, fmt.Errorf("open a spool file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink the spool file: %w", err), f.Close())
	}
	return f, nil
}

// CheckSpool tells whether runs can keep their rows in dir; empty means the system's temporary directory.
func CheckSpool(dir string) error {
	f, err := unnamedFile(dir)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *spool) add(r spooledRow) error {
	b := s.buffer[:]
	binary.LittleEndian.PutUint32(b, uint32(r.machine))
	binary.LittleEndian.PutUint32(b[4:], uint32(r.software))
	binary.LittleEndian.PutUint32(b[8:], uint32(r.vulnerability))
	b[12], b[13], b[14], b[15] = byte(r.severity), byte(r.source), byte(r.vector), r.reason
	binary.LittleEndian.PutUint32(b[16:], r.firstSeen)
	s.rows++
	_, err := s.out.Write(b)
	return err
}

// each reads everything back from the beginning; nothing can be added afterwards.
func (s *spool) each(f func(spooledRow) error) error {
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("write the spool file: %w", err)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := bufio.NewReaderSize(s.file, 256<<10)
	b := s.buffer[:]
	for range s.rows {
		if _, err := io.ReadFull(in, b); err != nil {
			return fmt.Errorf("read the spool file: %w", err)
		}
		err := f(spooledRow{
			machine: int32(binary.LittleEndian.Uint32(b)), software: int32(binary.LittleEndian.Uint32(b[4:])),
			vulnerability: int32(binary.LittleEndian.Uint32(b[8:])), severity: inventory.Severity(b[12]), source: inventory.SeveritySource(b[13]),
			vector: inventory.AttackVector(b[14]), reason: b[15], firstSeen: binary.LittleEndian.Uint32(b[16:]),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *spool) close() error { return s.file.Close() }
