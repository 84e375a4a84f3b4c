package defendersim

import (
	"net/http"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

const machinesPage = 10000

func (s *Simulator) serveMachines(w http.ResponseWriter, c *apiCall) *apiError {
	size, linked, refusal := c.params.page(s.listPage(machinesPage), s.switches().ClampTop)
	if refusal != nil {
		return refusal
	}
	match, refusal := parseFilter(c.params.filter, func(name string) bool { _, ok := (&world.Machine{}).Field(name); return ok })
	if refusal != nil {
		return refusal
	}
	if c.state.Len() == 0 && c.settings.EmptyAs404 {
		return notFound("No machines were found.")
	}
	first, part := c.params.skip, window{size: size}
	if match != nil {
		first, part.skip = 0, c.params.skip
	}
	out, top := s.begin(w, c, "Machines", -1), ""
	for m := range c.state.Machines(first) {
		if !match.accepts(m.Field) || !part.admit() {
			if part.beyond {
				break
			}
			continue
		}
		if top == "" {
			top = m.ID
		}
		if !out.row(func(b []byte) []byte { return s.closeObject(m.AppendJSON(b)) }) {
			return nil
		}
	}
	next := c.next(part, size, linked)
	if next != "" && s.switches().MutatePages {
		s.mutate(c, top)
	}
	out.end(next)
	return nil
}

// mutate lets the first machine of a page leave, or come back the one that left before: as pages count rows from the
// beginning, the next one then misses a row or repeats one.
func (s *Simulator) mutate(c *apiCall, top string) {
	op, id := "remove_machines", top
	if back := c.dir.swap(top); back != top {
		op, id = "restore_machines", back
	}
	if err := s.Change(c.settings.ID, world.Change{Op: op, MachineID: id}); err != nil {
		s.log.Error("the list of machines was not changed between pages", "error", err)
	}
}

func (s *Simulator) serveMachine(w http.ResponseWriter, c *apiCall) *apiError {
	m, ok := c.state.Find(c.route.key)
	if !ok {
		return notFound("Machine %s was not found", c.route.key)
	}
	return s.entity(w, c, "Machines/$entity", m.AppendJSON(nil))
}

// entity writes one record with its context in front.
func (s *Simulator) entity(w http.ResponseWriter, c *apiCall, context string, record []byte) *apiError {
	apiHeaders(w.Header())
	b := append([]byte(`{"@odata.context":"`), c.base+"/api/$metadata#"+context+`",`...)
	_, _ = w.Write(s.closeObject(append(b, record[1:]...))) // a failed write means the client has gone
	return nil
}
