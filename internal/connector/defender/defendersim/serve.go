package defendersim

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// route is what a request asks for.
type route struct {
	name     string // as faults and the journal call it
	template string // what quotas count by
	tenant   string // of Entra's routes
	key      string // machine or vulnerability id in the path, as sent
}

// routeNames are those of all routes.
var routeNames = []string{
	"token", "token_v1", "openid", "discovery", "machines", "machine", "machine_vulnerabilities", "software_vulnerabilities", "software_vulnerability_changes",
	"software_vulnerabilities_export", "blob", "vulnerabilities", "vulnerability", "machines_vulnerabilities", "machine_references", "forbidden", "unknown",
}

// routed finds the route by path, which Microsoft compares without case.
func routed(path string) route {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	low := strings.Split(strings.ToLower(strings.Trim(path, "/")), "/")
	if low[0] == "api" {
		parts, low = parts[1:], low[1:]
		if len(low) > 0 && low[0] == "v1.0" {
			parts, low = parts[1:], low[1:]
		}
		return apiRoute(parts, low)
	}
	if low[0] == "blob" {
		return route{name: "blob", key: path}
	}
	switch rest := strings.Join(low[1:], "/"); rest {
	case "oauth2/v2.0/token":
		return route{name: "token", tenant: parts[0]}
	case "oauth2/token":
		return route{name: "token_v1", tenant: parts[0]}
	case "v2.0/.well-known/openid-configuration":
		return route{name: "openid", tenant: parts[0]}
	case "discovery/instance":
		return route{name: "discovery", tenant: parts[0]}
	}
	return route{name: "unknown"}
}

func apiRoute(parts, low []string) route {
	switch {
	case len(low) == 0:
		return route{name: "unknown"}
	case low[0] == "machines":
		return machineRoute(parts, low)
	case low[0] == "vulnerabilities":
		return vulnerabilityRoute(parts, low)
	}
	return route{name: forbiddenRoute(low), key: low[0]}
}

func machineRoute(parts, low []string) route {
	switch {
	case len(low) == 1:
		return route{name: "machines", template: "machines"}
	case len(low) == 2 && low[1] == "softwarevulnerabilitiesbymachine":
		return route{name: "software_vulnerabilities", template: "software_vulnerabilities"}
	case len(low) == 2 && low[1] == "softwarevulnerabilitychangesbymachine":
		return route{name: "software_vulnerability_changes", template: "software_vulnerability_changes"}
	case len(low) == 2 && low[1] == "softwarevulnerabilitiesexport":
		return route{name: "software_vulnerabilities_export", template: "software_vulnerabilities_export"}
	case len(low) == 2:
		return route{name: "machine", template: "machines", key: parts[1]}
	case len(low) == 3 && low[2] == "vulnerabilities":
		return route{name: "machine_vulnerabilities", template: "machine_vulnerabilities", key: parts[1]}
	case len(low) == 3 && (low[2] == "recommendations" || low[2] == "getmissingkbs"):
		return route{name: "forbidden", key: low[2]}
	}
	return route{name: "unknown"}
}

func vulnerabilityRoute(parts, low []string) route {
	switch {
	case len(low) == 1:
		return route{name: "vulnerabilities", template: "vulnerabilities"}
	case len(low) == 2 && low[1] == "machinesvulnerabilities":
		return route{name: "machines_vulnerabilities", template: "machines_vulnerabilities"}
	case len(low) == 2:
		return route{name: "vulnerability", template: "vulnerability", key: parts[1]}
	case len(low) == 3 && low[2] == "machinereferences":
		return route{name: "machine_references", template: "machine_references", key: parts[1]}
	}
	return route{name: "unknown"}
}

// forbiddenRoles are the roles of routes that an application with the two roles of this simulator cannot reach.
var forbiddenRoles = map[string]string{
	"recommendations":  "SecurityRecommendation.Read.All",
	"software":         "Software.Read.All",
	"getmissingkbs":    "Software.Read.All",
	"remediationtasks": "RemediationTasks.Read.All",
	"exposurescore":    "Score.Read.All",
}

func forbiddenRoute(low []string) string {
	if forbiddenRoles[low[0]] == "" || (len(low) == 3 && low[2] == "vulnerabilities") {
		return "unknown"
	}
	return "forbidden"
}

// baseURL is the address the client used, which links in answers repeat. Microsoft's hosts are reached by TLS only, whatever
// stands before the simulator.
func baseURL(r *http.Request) string {
	if at := siteOf(r); r.TLS != nil || !at.login || !at.api {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// linkBase is what links in an answer begin with: what a fault forges, the host of the switch, or the address the client used.
func (s *Simulator) linkBase(r *http.Request, forged string) string {
	if host := s.switches().LinkHost; forged == "" && host != "" {
		return "https://" + host
	}
	return cmp.Or(forged, baseURL(r))
}

// serve records the request, lets a fault strike, and answers.
func (s *Simulator) serve(w http.ResponseWriter, r *http.Request) {
	rt, at := s.asked(r)
	c, tokenErr := claims{}, errToken
	directoryID := ""
	switch {
	case rt.entra():
		if d, ok := s.directory(rt.tenant); ok {
			directoryID = d.settings().ID
		}
	case rt.name == "blob":
		directoryID = blobDirectory(r.URL.Path)
	default:
		if c, tokenErr = s.verify(bearer(r)); tokenErr == nil {
			directoryID = c.TenantID
		}
	}
	rec := &recorder{ResponseWriter: w}
	identify(rec.Header(), r, rt)
	entry := s.journal.begin(r, rt, directoryID, s.now())
	defer func() { s.journal.end(entry, rec) }()
	out, links, done := s.faults.strike(rec, r, rt, directoryID, s.now)
	switch {
	case done:
	case rt.entra():
		s.serveEntra(out, r, rt)
	case rt.name == "blob":
		s.serveBlob(out, r)
	case !at.api:
		http.NotFound(out, r) // the login host has nothing else
	default:
		s.serveAPI(out, r, &apiCall{route: rt, claims: c, tokenErr: tokenErr, links: links})
	}
}

// asked is the route of a request at the host it names.
func (s *Simulator) asked(r *http.Request) (route, site) {
	rt, at := routed(r.URL.Path), siteOf(r)
	if (rt.entra() && !at.login) || (s.switches().ExactPaths && !exact(r.URL.Path)) {
		rt = route{name: "unknown"}
	}
	return rt, at
}

// entra reports whether Entra ID answers, and not the Defender API.
func (rt route) entra() bool {
	return rt.name == "token" || rt.name == "token_v1" || rt.name == "openid" || rt.name == "discovery"
}

// spellings are the fixed parts of the API's paths as Microsoft's pages write them.
var spellings = []string{"api", "v1.0", "machines", "vulnerabilities", "machinesVulnerabilities", "machineReferences",
	"SoftwareVulnerabilitiesByMachine", "SoftwareVulnerabilityChangesByMachine", "SoftwareVulnerabilitiesExport"}

func exact(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if i := slices.IndexFunc(spellings, func(s string) bool { return strings.EqualFold(s, part) }); i >= 0 && spellings[i] != part {
			return false
		}
	}
	return true
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}
