package defendersim

import (
	"maps"
	"net/http"
	"time"
)

// settingEndpoints concern the simulator as a whole.
func (s *Simulator) settingEndpoints() []endpoint {
	return []endpoint{
		{"GET", "/switches", "variants that are turned on", s.controlSwitches},
		{"PUT", "/switches", "set all switches; body: Switches", s.controlPutSwitches},
		{"PATCH", "/switches", "set those that the body names", s.controlPatchSwitches},
		{"GET", "/clock", "the simulator's time", s.controlClock},
		{"POST", "/clock", `move it forward; body: {"advance":"1h30m"}`, s.controlAdvance},
	}
}

func (s *Simulator) controlSwitches(w http.ResponseWriter, r *http.Request) error {
	reply(w, http.StatusOK, s.switches())
	return nil
}

func (s *Simulator) controlPutSwitches(w http.ResponseWriter, r *http.Request) error {
	var next Switches
	if err := read(r, &next); err != nil {
		return err
	}
	if err := s.Switch(next); err != nil {
		return err
	}
	return s.controlSwitches(w, r)
}

// controlPatchSwitches serves one caller after another, so that none undoes what another set.
func (s *Simulator) controlPatchSwitches(w http.ResponseWriter, r *http.Request) error {
	s.switching.Lock()
	defer s.switching.Unlock()
	next := s.switches()
	next.EntraStatus = maps.Clone(next.EntraStatus) // the body adds to it
	if err := read(r, &next); err != nil {
		return err
	}
	if err := s.Switch(next); err != nil {
		return err
	}
	return s.controlSwitches(w, r)
}

func (s *Simulator) controlClock(w http.ResponseWriter, r *http.Request) error {
	reply(w, http.StatusOK, map[string]time.Time{"now": s.Now().UTC()})
	return nil
}

func (s *Simulator) controlAdvance(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Advance Duration `json:"advance"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := s.Advance(time.Duration(body.Advance)); err != nil {
		return err
	}
	return s.controlClock(w, r)
}
