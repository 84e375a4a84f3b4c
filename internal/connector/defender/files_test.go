package defender_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/pagelog"
)

// report reads the whole report one way, with pages kept in root if there is one.
func (s simulation) report(t *testing.T, via connector.Via, root string) (rows []string, source connector.Source, err error) {
	t.Helper()
	source = s.open()
	if root != "" {
		l, failed := pagelog.Open(root, "int_1", "run", time.Time{}, time.Now)
		if failed != nil {
			t.Fatal(failed)
		}
		defer func() { _ = l.Close() }()
		source.KeepPages(l)
	}
	err = source.Rows(context.Background(), via, func(batch []inventory.Row) error {
		for _, r := range batch {
			rows = append(rows, fmt.Sprint(r.MachineID, r.CVE, r.Vendor, r.Product, r.Version, r.SeverityWord, r.Score, r.FirstSeen.Unix(), r.DiskPaths, r.RegistryPaths, r.UpdateID))
		}
		return nil
	})
	slices.Sort(rows)
	return rows, source, err
}

func files(parts int) func(*defendersim.DirectorySpec, *defendersim.App) {
	return func(s *defendersim.DirectorySpec, _ *defendersim.App) { s.ExportFiles = &parts }
}

func TestFilesHoldWhatPagesDo(t *testing.T) {
	t.Parallel()
	s := simulate(t, files(5))
	want, _, err := s.report(t, connector.ViaPages, "")
	if err != nil || len(want) < 600 {
		t.Fatalf("%d rows, %v", len(want), err)
	}
	s.ClearJournal()
	got, source, err := s.report(t, connector.ViaFiles, "")
	if err != nil {
		t.Fatal(err)
	}
	equalTexts(t, got, want)
	blobs := 0
	for _, e := range s.Journal(1000) {
		if e.Route != "blob" {
			continue
		}
		if blobs++; e.Bearer {
			t.Error("a token was sent to the storage service")
		}
	}
	if u := source.Usage(); blobs != 5 || u.Pages != 5 || u.Lost != 0 {
		t.Errorf("%d files were asked for, %+v", blobs, u)
	}
}

func TestFilesThatCannotBeHadAtOnce(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]defendersim.Fault{
		"still being copied": {Route: "blob", Status: 200, Body: "empty", Headers: map[string]string{"x-ms-copy-status": "pending"}, Times: 2},
		"reset":              {Route: "blob", ResetAfter: 400, Times: 2},
		"truncated":          {Route: "blob", TruncateAfter: 700, Times: 1},
		"busy":               {Route: "blob", Status: 503, Body: "xml", Times: 2},
		"signature is over":  {Route: "blob", Status: 403, Body: "xml", Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, files(4))
			want, _, err := s.report(t, connector.ViaPages, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.AddFault(f); err != nil {
				t.Fatal(err)
			}
			got, source, err := s.report(t, connector.ViaFiles, "")
			if u := source.Usage(); err != nil || u.Lost != 0 || u.Retries != int64(f.Times) {
				t.Fatalf("%v, %+v", err, u)
			}
			equalTexts(t, got, want)
		})
	}
}

func TestAFileThatCannotBeHadIsSetAside(t *testing.T) {
	t.Parallel()
	s := simulate(t, files(6))
	want, _, err := s.report(t, connector.ViaPages, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddFault(defendersim.Fault{Route: "blob", Status: 404, Body: "xml", After: 2, Times: 1}); err != nil {
		t.Fatal(err)
	}
	got, source, err := s.report(t, connector.ViaFiles, "")
	if err != nil || source.Usage().Lost != 1 || len(got) == 0 || len(got) >= len(want) {
		t.Errorf("%d of %d rows, %v, %+v", len(got), len(want), err, source.Usage())
	}
}

func TestWithoutAnyFileTheWayIsClosed(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]defendersim.Fault{
		"no file":  {Route: "blob", Status: 404, Body: "xml"},
		"no route": {Route: "software_vulnerabilities_export", Status: 404},
	} {
		s := simulate(t, files(3))
		if _, err := s.AddFault(f); err != nil {
			t.Fatal(err)
		}
		if got, _, err := s.report(t, connector.ViaFiles, ""); !errors.Is(err, connector.ErrWayClosed) || len(got) > 0 {
			t.Errorf("%s: %d rows, %v", name, len(got), err)
		}
	}
}

func TestFilesElsewhereAreNotAskedFor(t *testing.T) {
	t.Parallel()
	s := simulate(t, files(2))
	if err := s.Switch(defendersim.Switches{BlobHost: "blob.core.windows.net.example.org"}); err != nil {
		t.Fatal(err)
	}
	s.ClearJournal()
	_, _, err := s.report(t, connector.ViaFiles, "")
	if !fault.Is(err, fault.CodeUpstreamUnexpected) {
		t.Errorf("%v", err)
	}
	for _, e := range s.Journal(100) {
		if e.Route == "blob" {
			t.Error("a file was asked for")
		}
	}
}

func TestInterruptedFilesGoOn(t *testing.T) {
	t.Parallel()
	s := simulate(t, files(5))
	root := t.TempDir()
	if _, err := s.AddFault(defendersim.Fault{Route: "blob", Status: 404, Body: "xml", After: 3}); err != nil {
		t.Fatal(err)
	}
	if _, source, err := s.report(t, connector.ViaFiles, root); err != nil || source.Usage().Lost != 2 {
		t.Fatalf("%v, %+v", err, source.Usage())
	}
	s.ClearFaults()
	s.ClearJournal()
	got, source, err := s.report(t, connector.ViaFiles, root)
	if err != nil {
		t.Fatal(err)
	}
	if u := source.Usage(); u.Resumed != 3 || u.Pages != 2 {
		t.Errorf("%d files were kept, %d read", u.Resumed, u.Pages)
	}
	want, _, err := s.report(t, connector.ViaPages, "")
	if err != nil {
		t.Fatal(err)
	}
	equalTexts(t, got, want)
}

// TestAStorageThatRefusesIsNotAskedAgainAndAgain: new addresses come from a list with a small quota.
func TestAStorageThatRefusesIsNotAskedAgainAndAgain(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]int{"from the start": 0, "later on": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, files(30))
			if _, err := s.AddFault(defendersim.Fault{Route: "blob", Status: 403, Body: "xml", After: read}); err != nil {
				t.Fatal(err)
			}
			s.ClearJournal()
			got, source, err := s.report(t, connector.ViaFiles, "")
			switch {
			case read == 0 && (!errors.Is(err, connector.ErrWayClosed) || len(got) > 0):
				t.Errorf("%d rows, %v", len(got), err)
			case read > 0 && (err != nil || len(got) == 0 || source.Usage().Lost != 30-int64(read)):
				t.Errorf("%d rows, %v, %+v", len(got), err, source.Usage())
			}
			lists := 0
			for _, e := range s.Journal(1000) {
				if e.Route == "software_vulnerabilities_export" {
					lists++
				}
			}
			if lists > 4 { // two files are read at a time
				t.Errorf("the list was asked for %d times", lists)
			}
		})
	}
}
