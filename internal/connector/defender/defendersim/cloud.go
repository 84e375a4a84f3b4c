package defendersim

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
)

// Cloud is one of Microsoft's national clouds that have a Defender for Endpoint API. A directory, its applications and the hosts
// they are asked at belong to the same one.
type Cloud string

// Clouds.
const (
	CloudCommercial Cloud = "commercial"
	CloudGCC        Cloud = "gcc"
	CloudGCCHigh    Cloud = "gcc_high"
	CloudDoD        Cloud = "dod"
)

// realm is what sets a cloud apart.
type realm struct {
	login     []string // hosts of Entra ID, the usual one first
	api       []string // hosts of the Defender API
	audiences []string // resources whose tokens carry the roles of WindowsDefenderATP
	others    []string // resources every directory holds beside it; their tokens have no Defender roles
	region    string   // tenant_region_scope of the OpenID configuration
	subRegion string   // tenant_region_sub_scope there
}

const audienceXDR = "https://api.security.microsoft.com" // Defender XDR, a resource of its own in spite of the host of that name

// realms follow the pages "National clouds", "Microsoft Defender for Endpoint for US Government customers", "Supported Microsoft
// Defender for Endpoint APIs" and "Improve request performance". The audiences of the government clouds are those that
// scripts in use ask for.
var realms = map[Cloud]realm{
	CloudCommercial: {
		login: loginHosts, region: "EU", others: []string{audienceXDR, "https://graph.microsoft.com"},
		api: slices.Concat([]string{"api.security.microsoft.com", "api.securitycenter.microsoft.com", "api.securitycenter.windows.com"},
			prefixed([]string{"us.", "eu.", "uk.", "au.", "swa.", "ina.", "aea."}, "api.security.microsoft.com"),
			prefixed([]string{"api-us.", "api-us3.", "api-eu.", "api-uk.", "api-au."}, "securitycenter.microsoft.com"),
			prefixed([]string{"api-us.", "api-eu.", "api-uk."}, "securitycenter.windows.com")),
		audiences: []string{"https://api.securitycenter.microsoft.com", "https://securitycenter.onmicrosoft.com/windowsatpservice",
			"https://api.securitycenter.windows.com"},
	},
	CloudGCC: {
		login: loginHosts, region: "NA", subRegion: "GCC", others: []string{"https://graph.microsoft.com"},
		api: []string{"api-gcc.securitycenter.microsoft.us"}, audiences: []string{"https://api-gcc.securitycenter.microsoft.us"},
	},
	CloudGCCHigh: {
		login: loginHostsUS, region: "USGov", subRegion: "DODCON", others: []string{"https://graph.microsoft.us"},
		api: []string{"api-gov.securitycenter.microsoft.us"}, audiences: []string{"https://api-gov.securitycenter.microsoft.us"},
	},
	CloudDoD: {
		login: loginHostsUS, region: "USGov", subRegion: "DOD", others: []string{"https://dod-graph.microsoft.us"},
		api: []string{"api-gov.securitycenter.microsoft.us"}, audiences: []string{"https://api-gov.securitycenter.microsoft.us"},
	},
}

var (
	loginHosts   = []string{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"}
	loginHostsUS = []string{"login.microsoftonline.us", "login.usgovcloudapi.net"}
)

func prefixed(prefixes []string, host string) []string {
	hosts := make([]string, len(prefixes))
	for i, p := range prefixes {
		hosts[i] = p + host
	}
	return hosts
}

// site is what a host name stands for: Microsoft's names for one service in one or two clouds, any other for everything.
type site struct {
	login, api bool
	clouds     []Cloud // nil means all
}

var sites = microsoftSites()

func microsoftSites() map[string]site {
	all := map[string]site{}
	for _, c := range []Cloud{CloudCommercial, CloudGCC, CloudGCCHigh, CloudDoD} {
		for _, host := range realms[c].login {
			all[host] = site{login: true, clouds: append(all[host].clouds, c)}
		}
		for _, host := range realms[c].api {
			all[host] = site{api: true, clouds: append(all[host].clouds, c)}
		}
	}
	return all
}

// Hosts are the names of Microsoft's that the simulator knows, in order; a certificate for them lets clients use the real ones.
func Hosts() []string { return slices.Sorted(maps.Keys(sites)) }

func siteOf(r *http.Request) site {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if known, ok := sites[strings.ToLower(host)]; ok {
		return known
	}
	return site{login: true, api: true}
}

func (s site) serves(c Cloud) bool { return s.clouds == nil || slices.Contains(s.clouds, c) }

// has reports whether a resource is in a cloud's directories, and whether it is the one with the Defender roles.
func (c Cloud) has(resource string) (known, defender bool) {
	defender = slices.Contains(realms[c].audiences, resource)
	return defender || slices.Contains(realms[c].others, resource), defender
}
