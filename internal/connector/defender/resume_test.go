package defender_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/pagelog"
)

// attempt is one try of a run at the report, in a process of its own as far as the log can tell.
type attempt struct {
	rows    []string
	resumed int64
	err     error
}

// read reads the report with the log in root, and gives up after the given number of rows; 0 means never.
func (s simulation) read(t *testing.T, root string, most int) (a attempt) {
	t.Helper()
	l, err := pagelog.Open(root, "int_1", "run", time.Time{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	source := s.open()
	source.KeepPages(l)
	a.err = source.Rows(context.Background(), connector.ViaPages, func(rows []inventory.Row) error {
		for _, r := range rows {
			a.rows = append(a.rows, fmt.Sprint(r.MachineID, r.CVE, r.Vendor, r.Product, r.Version, r.FirstSeen.Unix(), r.DiskPaths))
		}
		if most > 0 && len(a.rows) >= most {
			return errKilled
		}
		return nil
	})
	a.resumed = source.Usage().Resumed
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return a
}

var errKilled = errors.New("killed")

// rowCalls counts the requests for pages of the report.
func (s simulation) rowCalls() (n int) {
	for _, e := range s.Journal(1000) {
		if e.Route == "software_vulnerabilities" {
			n++
		}
	}
	return n
}

func TestAReportIsReadOnBehindTheKeptPages(t *testing.T) {
	t.Parallel()
	s := simulate(t, nil)
	whole := s.read(t, t.TempDir(), 0)
	if whole.err != nil || len(whole.rows) < 600 {
		t.Fatalf("%d rows, %v", len(whole.rows), whole.err)
	}
	pages := s.rowCalls()
	root := t.TempDir()
	for killed := 150; killed < len(whole.rows); killed += 200 {
		if a := s.read(t, root, killed); !errors.Is(a.err, errKilled) {
			t.Fatalf("killed after %d rows: %v", killed, a.err)
		}
	}
	s.ClearJournal()
	last := s.read(t, root, 0)
	if last.err != nil {
		t.Fatal(last.err)
	}
	equalTexts(t, last.rows, whole.rows)
	if calls := s.rowCalls(); calls+int(last.resumed) != pages || calls > 2 {
		t.Errorf("%d pages were asked for and %d were kept, of %d", calls, last.resumed, pages)
	}
}

func TestADamagedPageIsAskedForAgain(t *testing.T) {
	t.Parallel()
	s := simulate(t, nil)
	root := t.TempDir()
	whole := s.read(t, root, 0)
	path := filepath.Join(root, "defenderd-pages-int_1", "software_vulnerabilities_by_machine.pages")
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(body) / 2; i < len(body)/2+40; i++ {
		body[i] = 0
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	again := s.read(t, root, 0)
	if again.err != nil || again.resumed == 0 {
		t.Fatalf("%d pages resumed, %v", again.resumed, again.err)
	}
	equalTexts(t, again.rows, whole.rows)
	if !strings.Contains(s.log.String(), "a kept page is damaged and is read again") {
		t.Error("the log does not tell of the damaged page")
	}
}

func TestALostChainIsForgotten(t *testing.T) {
	t.Parallel()
	s := simulate(t, nil)
	root := t.TempDir()
	s.read(t, root, 300)
	if _, err := s.AddFault(defendersim.Fault{Route: "software_vulnerabilities", Status: 400, Code: "BadRequest", Times: 1}); err != nil {
		t.Fatal(err)
	}
	if a := s.read(t, root, 0); !errors.Is(a.err, connector.ErrSnapshotLost) || a.resumed == 0 {
		t.Fatalf("%d pages resumed, %v", a.resumed, a.err)
	}
	if a := s.read(t, root, 0); a.err != nil || a.resumed != 0 {
		t.Errorf("%d pages resumed, %v", a.resumed, a.err)
	}
}

// equalTexts compares two readings of one report.
func equalTexts(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("row %d: %s, want %s", i, got[i], want[i])
		}
	}
}

// TestABadLinkCostsOnePage has one page name a next one elsewhere: the attempt fails, and the next one goes on behind the good pages.
func TestABadLinkCostsOnePage(t *testing.T) {
	t.Parallel()
	s := simulate(t, nil)
	whole := s.read(t, t.TempDir(), 0)
	root := t.TempDir()
	if _, err := s.AddFault(defendersim.Fault{Route: "software_vulnerabilities", After: 2, Times: 1, LinkBase: "https://attacker.example"}); err != nil {
		t.Fatal(err)
	}
	if a := s.read(t, root, 0); !fault.Is(a.err, fault.CodeUpstreamUnexpected) {
		t.Fatalf("a link to elsewhere: %v", a.err)
	}
	again := s.read(t, root, 0)
	if again.err != nil || again.resumed != 2 {
		t.Fatalf("%d pages resumed, %v", again.resumed, again.err)
	}
	equalTexts(t, again.rows, whole.rows)
}
