package defendersim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
)

func sortApps(apps []App) {
	slices.SortFunc(apps, func(a, b App) int { return cmp.Compare(a.ClientID, b.ClientID) })
}

func (s *Simulator) controlFaults(w http.ResponseWriter, r *http.Request) error {
	reply(w, http.StatusOK, map[string]any{"faults": s.Faults()})
	return nil
}

func (s *Simulator) controlAddFaults(w http.ResponseWriter, r *http.Request) error {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '{' {
		raw = append(append([]byte{'['}, raw...), ']')
	}
	var list []Fault
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		return err
	}
	ids := []string{}
	for _, f := range list {
		id, err := s.AddFault(f)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	reply(w, http.StatusCreated, map[string]any{"ids": ids})
	return nil
}

func (s *Simulator) controlClearFaults(w http.ResponseWriter, r *http.Request) error {
	s.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Simulator) controlRemoveFault(w http.ResponseWriter, r *http.Request) error {
	if !s.RemoveFault(r.PathValue("id")) {
		return errNoSuch
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Simulator) controlAwaitFault(w http.ResponseWriter, r *http.Request) error {
	err := s.AwaitFault(r.Context(), r.PathValue("id"))
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case r.Context().Err() == nil:
		return errors.Join(errNoSuch, err)
	}
	return nil
}

func (s *Simulator) controlReleaseFault(w http.ResponseWriter, r *http.Request) error {
	if !s.ReleaseFault(r.PathValue("id")) {
		return errNoSuch
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
