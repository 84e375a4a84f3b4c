package defender

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/pagelog"
)

// depot is a storage service with an export file of 100 rows per name, which are CVE-name-0 and so on.
type depot struct {
	*upstream
	names []string
	spoil map[string]func(asked int, body []byte) []byte // by name; asked counts the requests for the file

	mu    sync.Mutex
	asked map[string]int
}

func newDepot(t *testing.T, names ...string) *depot {
	d := &depot{upstream: newUpstream(t), names: names, spoil: map[string]func(int, []byte) []byte{}, asked: map[string]int{}}
	d.onAPI = d.give
	return d
}

func (d *depot) give(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == pathExportFiles {
		var files []string
		for _, name := range d.names {
			files = append(files, fmt.Sprintf(`"%s/blob/%s?sig=1"`, d.URL, name))
		}
		page(fmt.Sprintf(`{"exportFiles":[%s],"generatedTime":"2026-01-01T00:00:00Z"}`, strings.Join(files, ",")))(w, r)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/blob/")
	d.mu.Lock()
	d.asked[name]++
	asked, body := d.asked[name], packed(rowLines(name, 100))
	if spoil := d.spoil[name]; spoil != nil {
		body = spoil(asked, body)
	}
	d.mu.Unlock()
	_, _ = w.Write(body)
}

// rowLines is a file of n rows; a text in each makes them long enough for a file cut in half to hold some batches.
func rowLines(name string, n int) []byte {
	var b bytes.Buffer
	for i := range n {
		_, _ = fmt.Fprintf(&b, `{"DeviceId":"d","CveId":"CVE-%s-%d","DiskPaths":["%x"]}`+"\n", name, i, i*i*7919)
	}
	return b.Bytes()
}

func packed(text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(text)
	_ = z.Close()
	return b.Bytes()
}

func half(_ int, body []byte) []byte { return body[:len(body)/2] }

// read reads all files in batches of ten, with pages kept in root, and counts the rows by file.
func (d *depot) read(t *testing.T, root string, change ...func(*Config)) (rows map[string]int, used connector.Usage, err error) {
	t.Helper()
	s := d.open(append(change, func(c *Config) { c.Pages.Batch, c.Pages.MaxFileBytes = 10, 64<<10 })...)
	l, err := pagelog.Open(root, "int_1", "run", time.Time{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // of a test
	s.KeepPages(l)
	seen := map[string]bool{}
	rows = map[string]int{}
	err = s.Rows(context.Background(), connector.ViaFiles, func(batch []inventory.Row) error {
		for _, r := range batch {
			if seen[r.CVE] {
				t.Errorf("%s came twice", r.CVE)
			}
			seen[r.CVE] = true
			rows[strings.Split(r.CVE, "-")[1]]++
		}
		return nil
	})
	return rows, s.Usage(), err
}

// TestAFileThatIsDamagedLateIsSetAside has one file of three spoilt behind its first rows, which have been handed over by then: they
// stay, the other files are read, and a later attempt asks for that file alone.
func TestAFileThatIsDamagedLateIsSetAside(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(int, []byte) []byte{
		"breaks off":   half,
		"wrong sum":    func(_ int, body []byte) []byte { return append(body[:len(body)-8:len(body)-8], "12345678"...) },
		"too large":    func(int, []byte) []byte { return packed(rowLines("b", 3000)) },
		"was replaced": func(asked int, body []byte) []byte { return replaced(asked, body) },
		"became shorter": func(asked int, body []byte) []byte {
			if asked == 1 {
				return half(asked, body)
			}
			return packed(rowLines("b", 5))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, root := newDepot(t, "a", "b", "c"), t.TempDir()
			d.spoil["b"] = spoil
			rows, used, err := d.read(t, root)
			if err != nil || used.Lost != 1 || used.Pages != 2 || rows["a"] != 100 || rows["c"] != 100 {
				t.Fatalf("%v, %v, %+v", rows, err, used)
			}
			if rows["b"] == 0 {
				t.Error("nothing of the file was handed over, so nothing was tried")
			}
			delete(d.spoil, "b")
			rows, used, err = d.read(t, root)
			if err != nil || used.Lost != 0 || used.Resumed != 2 || used.Pages != 1 || rows["a"]+rows["b"]+rows["c"] != 300 {
				t.Errorf("the next attempt: %v, %v, %+v", rows, err, used)
			}
		})
	}
}

// replaced breaks off, and is another file from then on.
func replaced(asked int, body []byte) []byte {
	if asked == 1 {
		return half(asked, body)
	}
	return packed(bytes.ReplaceAll(rowLines("b", 100), []byte("CVE-b-"), []byte("CVE-b-x")))
}

// TestWithoutAWholeFileTheWayIsClosed: pages may give the report whole, and whoever reads them starts again.
func TestWithoutAWholeFileTheWayIsClosed(t *testing.T) {
	t.Parallel()
	d := newDepot(t, "a", "b")
	d.spoil["a"], d.spoil["b"] = half, half
	if rows, _, err := d.read(t, t.TempDir()); !errors.Is(err, connector.ErrWayClosed) || len(rows) == 0 {
		t.Errorf("%v, %v", rows, err)
	}
}

// TestABrokenLineCostsNoFile has a line of each file spoilt.
func TestABrokenLineCostsNoFile(t *testing.T) {
	t.Parallel()
	d := newDepot(t, "a", "b", "c")
	for _, name := range d.names {
		d.spoil[name] = func(int, []byte) []byte {
			lines := bytes.SplitAfter(rowLines(name, 100), []byte("\n"))
			return packed(bytes.Join(slices.Insert(lines, 55, []byte(`{"DeviceId":"d","CveId":`+"\n")), nil))
		}
	}
	rows, used, err := d.read(t, t.TempDir())
	if err != nil || used.Lost != 0 || used.Malformed != 3 || rows["a"]+rows["b"]+rows["c"] != 300 {
		t.Errorf("%v, %v, %+v", rows, err, used)
	}
}
