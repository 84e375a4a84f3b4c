package conformance_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// page is a collection as long lists are read: the place of the next page and rows without a type.
type page struct {
	Next  string   `json:"@odata.nextLink"`
	Value []object `json:"value"`
}

func (a answer) page(t *testing.T) page {
	t.Helper()
	var p page
	if err := json.Unmarshal(a.body, &p); err != nil || a.status != http.StatusOK || a.broken != nil {
		t.Fatalf("status %d, %v, %v: %.300q", a.status, err, a.broken, a.body)
	}
	return p
}

// walk follows nextLink to the end.
func (d *double) walk(t *testing.T, token, path string) (rows []object, pages int) {
	t.Helper()
	for path != "" {
		p := d.get(t, token, path).page(t)
		rows = append(rows, p.Value...)
		path = p.Next
		pages++
	}
	return rows, pages
}

// texts are the values of one member in all rows; what is no text counts as "".
func texts(rows []object, name string) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i], _ = r[name].(string)
	}
	return out
}

// count counts the rows that a test finds.
func count(rows []object, found func(object) bool) (n int) {
	for _, r := range rows {
		if found(r) {
			n++
		}
	}
	return n
}

// variety fails for each name whose test finds no row.
func variety(t *testing.T, rows []object, tests map[string]func(object) bool) {
	t.Helper()
	for name, found := range tests {
		if !slices.ContainsFunc(rows, found) {
			t.Errorf("no row with %s among %d", name, len(rows))
		}
	}
}

func is(name string, want any) func(object) bool {
	return func(o object) bool { got, ok := o[name]; return ok && got == want }
}

func holds(name, part string) func(object) bool {
	return func(o object) bool { text, ok := o[name].(string); return ok && strings.Contains(text, part) }
}

// same tells whether two values are the same JSON.
func same(t *testing.T, a, b any) bool {
	t.Helper()
	one, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(one) == string(two)
}

// alter applies changes to a directory.
func (a account) alter(t *testing.T, changes ...object) {
	t.Helper()
	a.d.tell(t, http.MethodPost, "/directories/"+a.directory+"/changes", changes)
}
