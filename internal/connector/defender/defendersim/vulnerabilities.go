package defendersim

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"regexp"
	"strings"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

const (
	vulnerabilitiesPage = 8000
	mappingPage         = 10000
	vulnerabilityType   = "Vulnerabilities/microsoft.windowsDefenderATP.api.PublicVulnerabilityDto"
)

func (s *Simulator) serveVulnerabilities(w http.ResponseWriter, c *apiCall) *apiError {
	size, linked, refusal := c.params.page(s.listPage(vulnerabilitiesPage), s.switches().ClampTop)
	if refusal != nil {
		return refusal
	}
	match, refusal := parseFilter(c.params.filter, func(name string) bool {
		if name == "exposedmachines" && s.switches().RefuseExposedFilter {
			return false
		}
		_, ok := (&world.Vulnerability{}).Field(name, world.Exposure{})
		return ok
	})
	if refusal != nil {
		return refusal
	}
	out := s.begin(w, c, "Vulnerabilities", -1)
	part, catalogue := window{skip: c.params.skip, size: size}, c.state.Catalogue()
	for i := range catalogue.Len() {
		v := catalogue.At(i)
		if !v.Listed {
			continue
		}
		exposure := c.mapped.state.Exposure(i)
		if !match.accepts(func(name string) (any, bool) { return v.Field(name, exposure) }) || !part.admit() {
			if part.beyond {
				break
			}
			continue
		}
		if !out.row(func(b []byte) []byte { return s.closeObject(v.AppendJSON(b, exposure, false)) }) {
			return nil
		}
	}
	out.end(c.next(part, size, linked))
	return nil
}

func (s *Simulator) serveVulnerability(w http.ResponseWriter, c *apiCall) *apiError {
	i, ok := c.state.Catalogue().Find(c.route.key)
	if !ok || !c.state.Catalogue().At(i).Listed {
		return notFound("Vulnerability %s was not found", c.route.key)
	}
	v := c.state.Catalogue().At(i)
	return s.entity(w, c, "Vulnerabilities/$entity", v.AppendJSON(nil, c.mapped.state.Exposure(i), false))
}

// onlyMachine recognises the one filter worth a shortcut: all rows of a machine.
var onlyMachine = regexp.MustCompile(`^\s*machineId\s+eq\s+'([^']*)'\s*$`)

func (s *Simulator) serveMapping(w http.ResponseWriter, c *apiCall) *apiError {
	size, linked, refusal := c.params.page(s.listPage(mappingPage), s.switches().ClampTop)
	if refusal != nil {
		return refusal
	}
	match, refusal := parseFilter(c.params.filter, mappingProperty)
	if refusal != nil {
		return refusal
	}
	machine := ""
	if m := onlyMachine.FindStringSubmatch(c.params.filter); m != nil {
		machine = strings.ToLower(m[1])
	}
	if match == nil && s.switches().HideUnfiltered {
		match = shown
	}
	first, part := c.params.skip, window{size: size}
	if match != nil {
		first, part.skip = 0, c.params.skip
	}
	rows := make([][]byte, 0, min(size, 1024)) // counted before they are written: @odata.count comes first
	for r := range c.mapped.state.MappingRows(first, machine) {
		if !match.accepts(r.Field) || !part.admit() {
			if part.beyond {
				break
			}
			continue
		}
		rows = append(rows, r.AppendJSON(nil))
	}
	out := s.begin(w, c, "Collection(microsoft.windowsDefenderATP.api.PublicAssetVulnerabilityDto)", len(rows))
	for _, r := range rows {
		if !out.row(func(b []byte) []byte { return s.closeObject(append(b, r[:len(r)-1]...)) }) {
			return nil
		}
	}
	out.end(c.next(part, size, linked))
	return nil
}

// shown hides one of about fifty mapping rows, always the same: a public report shows a row that only a filter finds.
func shown(field func(name string) (any, bool)) bool {
	id, _ := field("id")
	sum := fnv.New32a()
	_, _ = fmt.Fprint(sum, id) // a hash takes everything
	return sum.Sum32()%50 != 0
}

func mappingProperty(name string) bool {
	switch name {
	case "id", "cveid", "machineid", "fixingkbid", "productname", "productversion", "severity", "productvendor":
		return true
	}
	return false
}

func (s *Simulator) serveReferences(w http.ResponseWriter, c *apiCall) *apiError {
	i, ok := c.state.Catalogue().Find(c.route.key)
	if !ok {
		return notFound("Vulnerability %s was not found", c.route.key)
	}
	out := s.begin(w, c, "MachineReferences", -1)
	for m := range c.mapped.state.Exposed(i) {
		if !out.row(m.AppendReference) {
			return nil
		}
	}
	out.end("")
	return nil
}

// serveMachineVulnerabilities lists the vulnerabilities of one machine in no particular order.
func (s *Simulator) serveMachineVulnerabilities(w http.ResponseWriter, c *apiCall) *apiError {
	m, ok := c.state.Find(c.route.key)
	if !ok {
		return notFound("Machine %s was not found", c.route.key)
	}
	found, _ := c.mapped.state.VulnerabilitiesOf(m.ID) // none of a machine that came after the snapshot
	listed := found[:0]
	for _, i := range found {
		if c.state.Catalogue().At(i).Listed {
			listed = append(listed, i)
		}
	}
	out := s.begin(w, c, vulnerabilityType, len(listed))
	for _, i := range listed {
		v := c.state.Catalogue().At(i)
		if !out.row(func(b []byte) []byte { return s.closeObject(v.AppendJSON(b, c.mapped.state.Exposure(i), true)) }) {
			return nil
		}
	}
	out.end("")
	return nil
}
