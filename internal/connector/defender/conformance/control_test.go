package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// needControl skips a check that must arrange something when the double cannot be told.
func (d *double) needControl(t *testing.T) {
	t.Helper()
	if d.control == "" {
		t.Skip("the rest of this check needs the double's control interface: give -control-url")
	}
}

// tell calls the control interface and expects success. A nil body sends none.
func (d *double) tell(t *testing.T, method, path string, body any) answer {
	t.Helper()
	d.needControl(t)
	text := []byte(nil)
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	a := d.do(d.request(t, method, d.control+path, string(text), header{"Content-Type", "application/json"}))
	if a.broken != nil || a.status < 200 || a.status > 299 {
		t.Fatalf("control %s %s: status %d, %v: %.300q", method, path, a.status, a.broken, a.body)
	}
	return a
}

// undo calls the control interface when the check has ended. What is gone already needs no undoing.
func (d *double) undo(t *testing.T, method, path string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, d.control+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if a := d.do(r); a.broken != nil || (a.status > 299 && a.status != http.StatusNotFound) {
			t.Errorf("control %s %s: status %d, %v: %.300q", method, path, a.status, a.broken, a.body)
		}
	})
}

// turn sets switches until the check ends.
func (d *double) turn(t *testing.T, switches object) {
	t.Helper()
	before := d.tell(t, http.MethodGet, "/switches", nil).object(t)
	d.undo(t, http.MethodPut, "/switches", before)
	d.tell(t, http.MethodPatch, "/switches", switches)
}

// arm sets a fault for the requests of one directory, until the check ends, and returns its id.
func (d *double) arm(t *testing.T, directory string, fault object) string {
	t.Helper()
	d.needControl(t)
	full := object{"directory": directory}
	for name, value := range fault {
		full[name] = value
	}
	ids, _ := d.tell(t, http.MethodPost, "/faults", full).at(t, "ids").([]any)
	if len(ids) != 1 {
		t.Fatalf("%d ids for one fault", len(ids))
	}
	id, _ := ids[0].(string)
	d.undo(t, http.MethodDelete, "/faults/"+id, nil)
	return id
}

// advance moves the clock of the double forward. There is no way back.
func (d *double) advance(t *testing.T, by time.Duration) {
	t.Helper()
	d.tell(t, http.MethodPost, "/clock", object{"advance": by.String()})
}

// now is the double's time.
func (d *double) now(t *testing.T) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, d.tell(t, http.MethodGet, "/clock", nil).text(t, "now"))
	if err != nil {
		t.Fatal(err)
	}
	return at
}
