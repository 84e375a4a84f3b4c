package defendersim

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// endpoint is one line of the control interface's own description.
type endpoint struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Does   string `json:"does"`
	handle func(http.ResponseWriter, *http.Request) error
}

func (s *Simulator) endpoints() []endpoint {
	return append([]endpoint{
		{"GET", "/{$}", "this description, with directories, applications and their simulated secrets", s.controlIndex},
		{"GET", "/directories", "ids of all directories", s.controlDirectories},
		{"GET", "/directories/{id}", "settings and applications, without secrets", s.controlDirectory},
		{"PUT", "/directories/{id}", "add or replace a directory; body: DirectorySpec", s.controlPutDirectory},
		{"DELETE", "/directories/{id}", "remove a directory", s.controlDeleteDirectory},
		{"PUT", "/directories/{id}/apps/{client_id}", "add or replace an application; body: App", s.controlPutApp},
		{"PUT", "/directories/{id}/licence", `body: {"licence":"full|machines_only|inactive"}`, s.controlPutLicence},
		{"POST", "/directories/{id}/changes", "apply a list of Change in order, all or none", s.controlChanges},
		{"GET", "/directories/{id}/truth", "what a fresh import with default settings must hold", s.controlTruth},
		{"GET", "/directories/{id}/truth/assets", "the same asset by asset, NDJSON", s.controlTruthAssets},
		{"GET", "/directories/{id}/truth/findings", "the same finding by finding, NDJSON", s.controlTruthFindings},
		{"GET", "/faults", "armed faults and what they have done", s.controlFaults},
		{"POST", "/faults", "arm a Fault, or a list of them", s.controlAddFaults},
		{"DELETE", "/faults", "remove all faults and release what they hold", s.controlClearFaults},
		{"DELETE", "/faults/{id}", "remove a fault and release what it holds", s.controlRemoveFault},
		{"GET", "/faults/{id}/wait", "answer once the fault holds a call", s.controlAwaitFault},
		{"POST", "/faults/{id}/release", "let held calls go", s.controlReleaseFault},
		{"GET", "/journal", "requests received, newest last; ?limit=100", s.controlJournal},
		{"DELETE", "/journal", "forget them", s.controlClearJournal},
	}, s.settingEndpoints()...)
}

// ControlHandler serves the interface tests and demonstrations use. It has no authentication and shows simulated secrets:
// bind it to a loopback address.
func (s *Simulator) ControlHandler() http.Handler {
	mux := http.NewServeMux()
	for _, e := range s.endpoints() {
		mux.HandleFunc(e.Method+" "+e.Path, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 32<<20)
			if err := e.handle(w, r); err != nil {
				status := http.StatusBadRequest
				if errors.Is(err, errNoSuch) {
					status = http.StatusNotFound
				}
				reply(w, status, map[string]string{"error": err.Error()})
			}
		})
	}
	return mux
}

var errNoSuch = errors.New("no such object")

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(body) // a failed write means the client has gone
}

// read decodes a body strictly, so that a mistyped member is an error and not a silent default.
func read(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

func (s *Simulator) named(r *http.Request) (*directory, error) {
	d, ok := s.directory(r.PathValue("id"))
	if !ok {
		return nil, errNoSuch
	}
	return d, nil
}

func (s *Simulator) controlIndex(w http.ResponseWriter, r *http.Request) error {
	var list []DirectorySpec
	for _, id := range s.Directories() {
		if d, ok := s.directory(id); ok {
			list = append(list, d.describe(true))
		}
	}
	reply(w, http.StatusOK, map[string]any{"endpoints": s.endpoints(), "directories": list})
	return nil
}

// describe is the specification with the applications as they are now.
func (d *directory) describe(secrets bool) DirectorySpec {
	d.mu.RLock()
	defer d.mu.RUnlock()
	spec := d.spec
	for _, a := range d.apps {
		if !secrets {
			a.Secret = ""
		}
		spec.Apps = append(spec.Apps, a)
	}
	sortApps(spec.Apps)
	return spec
}

func (s *Simulator) controlDirectories(w http.ResponseWriter, r *http.Request) error {
	reply(w, http.StatusOK, map[string]any{"directories": s.Directories()})
	return nil
}

func (s *Simulator) controlDirectory(w http.ResponseWriter, r *http.Request) error {
	d, err := s.named(r)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, d.describe(false))
	return nil
}

func (s *Simulator) controlPutDirectory(w http.ResponseWriter, r *http.Request) error {
	var spec DirectorySpec
	if err := read(r, &spec); err != nil {
		return err
	}
	if spec.ID == "" {
		spec.ID = r.PathValue("id")
	}
	if !strings.EqualFold(spec.ID, r.PathValue("id")) {
		return errors.New("the id of the body is not that of the path")
	}
	if err := s.AddDirectory(spec); err != nil {
		return err
	}
	return s.controlDirectory(w, r)
}

func (s *Simulator) controlDeleteDirectory(w http.ResponseWriter, r *http.Request) error {
	if !s.RemoveDirectory(r.PathValue("id")) {
		return errNoSuch
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Simulator) controlPutApp(w http.ResponseWriter, r *http.Request) error {
	d, err := s.named(r)
	if err != nil {
		return err
	}
	var a App
	if err := read(r, &a); err != nil {
		return err
	}
	if a.ClientID == "" {
		a.ClientID = r.PathValue("client_id")
	}
	if !strings.EqualFold(a.ClientID, r.PathValue("client_id")) {
		return errors.New("the client id of the body is not that of the path")
	}
	if err := s.SetApp(d.settings().ID, a); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Simulator) controlPutLicence(w http.ResponseWriter, r *http.Request) error {
	d, err := s.named(r)
	if err != nil {
		return err
	}
	var body struct {
		Licence Licence `json:"licence"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := s.SetLicence(d.settings().ID, body.Licence); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Simulator) controlChanges(w http.ResponseWriter, r *http.Request) error {
	d, err := s.named(r)
	if err != nil {
		return err
	}
	var list []world.Change
	if err := read(r, &list); err != nil {
		return err
	}
	if err := s.Change(d.settings().ID, list...); err != nil {
		return err
	}
	return s.controlTruth(w, r)
}

func (s *Simulator) controlTruth(w http.ResponseWriter, r *http.Request) error {
	d, err := s.named(r)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, d.present(s.now()).Truth())
	return nil
}

func (s *Simulator) controlTruthAssets(w http.ResponseWriter, r *http.Request) error {
	d, err := s.named(r)
	if err != nil {
		return err
	}
	return streamLines(w, d.present(s.now()).Assets())
}

func (s *Simulator) controlTruthFindings(w http.ResponseWriter, r *http.Request) error {
	d, err := s.named(r)
	if err != nil {
		return err
	}
	return streamLines(w, d.present(s.now()).Findings())
}

func streamLines[T any](w http.ResponseWriter, records func(yield func(T) bool)) error {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	for record := range records {
		if err := enc.Encode(record); err != nil {
			return nil // the client has gone
		}
	}
	return nil
}

func (s *Simulator) controlJournal(w http.ResponseWriter, r *http.Request) error {
	limit := 100
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("limit is not a number")
		}
		limit = n
	}
	reply(w, http.StatusOK, map[string]any{"entries": s.Journal(limit)})
	return nil
}

func (s *Simulator) controlClearJournal(w http.ResponseWriter, r *http.Request) error {
	s.ClearJournal()
	w.WriteHeader(http.StatusNoContent)
	return nil
}
