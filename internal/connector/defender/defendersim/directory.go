package defendersim

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// Licence is what a directory has subscribed to.
type Licence string

// Licences.
const (
	LicenceFull         Licence = "full"
	LicenceMachinesOnly Licence = "machines_only" // vulnerability routes answer 401 "No Tvm license"
	LicenceInactive     Licence = "inactive"      // every route answers 401 "Account mode is inactive"
)

func (l Licence) valid() bool {
	return l == LicenceFull || l == LicenceMachinesOnly || l == LicenceInactive
}

// DirectorySpec describes a directory (an Entra ID tenant).
type DirectorySpec struct {
	ID                 string  `json:"id"`                             // GUID
	Domain             string  `json:"domain,omitempty"`               // "" means one derived from the id
	Seed               *uint64 `json:"seed,omitempty"`                 // nil means one derived from the id and the simulator's seed
	Machines           int     `json:"machines"`                       // plain machines, 0 to 100,000; edge cases come on top
	FindingsPerMachine *int    `json:"findings_per_machine,omitempty"` // mean rows per plain machine; nil means 40
	EdgeCases          *bool   `json:"edge_cases,omitempty"`           // nil means true
	Licence            Licence `json:"licence,omitempty"`              // "" means full
	Cloud              Cloud   `json:"cloud,omitempty"`                // "" means commercial
	ExportFiles        *int    `json:"export_files,omitempty"`         // of SoftwareVulnerabilitiesExport, 0 to 1,000; nil means one for each 2,000 machines
	EmptyAs404         bool    `json:"empty_as_404,omitempty"`         // an empty list of machines answers 404
	NotProvisioned     bool    `json:"not_provisioned,omitempty"`      // Defender was never set up: AADSTS500011
	ResourceDisabled   bool    `json:"resource_disabled,omitempty"`    // subscription lapsed: AADSTS500014
	Apps               []App   `json:"apps,omitempty"`
}

// Application roles of the WindowsDefenderATP resource that the routes ask for.
const (
	RoleMachineRead       = "Machine.Read.All"
	RoleMachineReadWrite  = "Machine.ReadWrite.All"
	RoleVulnerabilityRead = "Vulnerability.Read.All"
)

var (
	guidForm   = regexp.MustCompile(`^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	domainForm = regexp.MustCompile(`^(?i)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
)

func (spec DirectorySpec) complete(seed uint64) (DirectorySpec, error) {
	if !guidForm.MatchString(spec.ID) {
		return spec, fmt.Errorf("directory id %q is not a GUID", spec.ID)
	}
	spec.ID = strings.ToLower(spec.ID)
	spec.Licence = cmp.Or(spec.Licence, LicenceFull)
	spec.Cloud = cmp.Or(spec.Cloud, CloudCommercial)
	spec.Domain = cmp.Or(spec.Domain, "tenant"+strings.ReplaceAll(spec.ID, "-", "")+".onmicrosoft.com")
	if spec.Seed == nil {
		own := seed
		for _, b := range []byte(spec.ID) {
			own = own*1099511628211 + uint64(b)
		}
		spec.Seed = &own
	}
	switch {
	case !spec.Licence.valid():
		return spec, fmt.Errorf("licence %q is not full, machines_only or inactive", spec.Licence)
	case realms[spec.Cloud].login == nil:
		return spec, fmt.Errorf("cloud %q is not commercial, gcc, gcc_high or dod", spec.Cloud)
	case !domainForm.MatchString(spec.Domain):
		return spec, fmt.Errorf("domain %q is not a domain name", spec.Domain)
	case spec.Machines < 0 || spec.Machines > 100000:
		return spec, fmt.Errorf("%d machines are outside 0..100000", spec.Machines)
	case spec.exportFiles() < 0 || spec.exportFiles() > 1000:
		return spec, fmt.Errorf("%d export files are outside 0..1000", spec.exportFiles())
	case spec.findings() < 0 || spec.findings() > 1000:
		return spec, fmt.Errorf("%d findings per machine are outside 0..1000", spec.findings())
	}
	return spec, nil
}

func (spec DirectorySpec) findings() int {
	if spec.FindingsPerMachine == nil {
		return 40
	}
	return *spec.FindingsPerMachine
}

func (spec DirectorySpec) exportFiles() int {
	if spec.ExportFiles == nil {
		return 1 + spec.Machines/2000
	}
	return *spec.ExportFiles
}

func (spec DirectorySpec) edgeCases() bool { return spec.EdgeCases == nil || *spec.EdgeCases }

type directory struct {
	mu      sync.RWMutex
	spec    DirectorySpec
	apps    map[string]App // by lower-case client id
	state   *world.State
	history history
	away    string // id of the machine that a page made leave
}

// swap returns the machine that is away, which then is not any more, or else makes the given one it.
func (d *directory) swap(id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if back := d.away; back != "" {
		d.away = ""
		return back
	}
	d.away = id
	return id
}

// present is what the directory holds at a time.
func (d *directory) present(now time.Time) *world.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.age(now)
	return d.state
}

func (d *directory) settings() DirectorySpec {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.spec
}

func (d *directory) app(clientID string) (App, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	a, ok := d.apps[strings.ToLower(clientID)]
	return a, ok
}
