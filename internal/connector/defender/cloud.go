package defender

import "strings"

// Cloud names one of Microsoft's national clouds. An application, its directory and the login host all belong to the
// same one.
type Cloud string

// The clouds in which the Defender for Endpoint API exists.
const (
	Commercial Cloud = "commercial"
	GCC        Cloud = "gcc"
	GCCHigh    Cloud = "gcc_high"
	DoD        Cloud = "dod"
)

// text is the cloud's name as Microsoft writes it.
func (c Cloud) text() string {
	switch c {
	case GCC:
		return "GCC"
	case GCCHigh:
		return "GCC High"
	case DoD:
		return "DoD"
	}
	return "commercial"
}

// neighbour is the cloud whose directories sign in at the same login host and are known there, though their Defender is another one.
func (c Cloud) neighbour() Cloud {
	switch c {
	case GCC:
		return Commercial
	case GCCHigh:
		return DoD
	case DoD:
		return GCCHigh
	}
	return GCC
}

// endpoints of one cloud. The scope is data of its own and never derived from the API host: the permissions belong to the
// resource behind api.securitycenter.microsoft.com (WindowsDefenderATP), while a token for api.security.microsoft.com
// is one for Defender XDR and carries none of them.
type endpoints struct {
	login string
	api   string
	scope string
	hosts []string // further API hosts that may stand in a next link of this cloud
	blobs []string // ends of the host names of its storage service
}

// commercialHosts are the regional and older names of the commercial API: Microsoft's pages "Supported Microsoft
// Defender for Endpoint APIs" and "Improve request performance". api-us3 stands on none of them, but in recorded answers.
var commercialHosts = [...]string{
	"api.security.microsoft.com", "us.api.security.microsoft.com", "eu.api.security.microsoft.com",
	"uk.api.security.microsoft.com", "au.api.security.microsoft.com", "swa.api.security.microsoft.com",
	"ina.api.security.microsoft.com", "aea.api.security.microsoft.com",
	"api.securitycenter.microsoft.com", "api-us.securitycenter.microsoft.com", "api-us3.securitycenter.microsoft.com", "api-eu.securitycenter.microsoft.com",
	"api-uk.securitycenter.microsoft.com", "api-au.securitycenter.microsoft.com",
	"api.securitycenter.windows.com", "api-us.securitycenter.windows.com", "api-eu.securitycenter.windows.com", "api-uk.securitycenter.windows.com",
}

// retiring tells whether an API host is one of the older names of the commercial cloud. They still answer, but Microsoft's
// page "Supported Microsoft Defender for Endpoint APIs" names only the newer ones.
func retiring(host string) bool {
	return strings.HasSuffix(host, ".securitycenter.microsoft.com") || strings.HasSuffix(host, ".securitycenter.windows.com")
}

// endpoints gives the hosts and the scope of a cloud: Microsoft's pages "Microsoft Defender for Endpoint for US
// Government customers" and "National clouds". It reports false for an unknown name.
func (c Cloud) endpoints() (endpoints, bool) {
	const login, loginUS = "https://login.microsoftonline.com", "https://login.microsoftonline.us"
	const gcc, gov = "https://api-gcc.securitycenter.microsoft.us", "https://api-gov.securitycenter.microsoft.us"
	blobs := []string{".blob.core.windows.net"}
	if c != Commercial && c != "" {
		blobs = append(blobs, ".blob.core.usgovcloudapi.net")
	}
	switch c {
	case Commercial, "":
		return endpoints{login, "https://api.security.microsoft.com", "https://api.securitycenter.microsoft.com/.default", commercialHosts[:], blobs}, true
	case GCC:
		return endpoints{login, gcc, gcc + "/.default", nil, blobs}, true
	case GCCHigh, DoD:
		return endpoints{loginUS, gov, gov + "/.default", nil, blobs}, true
	}
	return endpoints{}, false
}
