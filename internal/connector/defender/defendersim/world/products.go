package world

import (
	"fmt"
	"strings"
)

// Families of operating systems that products are installed on.
const (
	famClient = 1 << iota
	famServer
	famMac
	famLinux
	famWindows = famClient | famServer
	famDesktop = famClient | famMac
	famAll     = famWindows | famMac | famLinux
)

const versionsPerProduct = 8

// product is a piece of software as the software inventory names it. pattern holds one %d that grows with each release.
type product struct {
	vendor, name, pattern string
	families              int
	os                    bool // an operating system: installed once, patched by a KB number
	sibling               string
	disk, registry        string
}

var products = []product{
	{"microsoft", "windows_11", "10.0.22631.%d", famClient, true, "windows_10", "", ""},
	{"microsoft", "windows_10", "10.0.19045.%d", famClient, true, "windows_11", "", ""},
	{"microsoft", "windows_server_2022", "10.0.20348.%d", famServer, true, "windows_server_2019", "", ""},
	{"microsoft", "windows_server_2019", "10.0.17763.%d", famServer, true, "windows_server_2022", "", ""},
	{"apple", "mac_os", "15.%d.1", famMac, true, "", "", ""},
	{"ubuntu", "ubuntu_linux", "22.04.%d", famLinux, true, "", "", ""},
	{"google", "chrome", "139.0.7258.%d", famAll &^ famServer, false, "edge_chromium-based", `C:\Program Files\Google\Chrome\Application\chrome.exe`, `HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\Google Chrome`},
	{"microsoft", "edge_chromium-based", "139.0.3405.%d", famWindows, false, "chrome", `C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe`, `HKEY_LOCAL_MACHINE\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall\Microsoft Edge`},
	{"mozilla", "firefox", "141.0.%d.0", famAll, false, "thunderbird", `C:\Program Files\Mozilla Firefox\firefox.exe`, `HKEY_LOCAL_MACHINE\SOFTWARE\Mozilla\Mozilla Firefox`},
	{"mozilla", "thunderbird", "140.%d.0.0", famAll, false, "firefox", `C:\Program Files\Mozilla Thunderbird\thunderbird.exe`, ""},
	{"adobe", "acrobat_reader_dc", "25.1.20%d.0", famDesktop, false, "acrobat_dc", `C:\Program Files (x86)\Adobe\Acrobat Reader DC\Reader\AcroRd32.exe`, `HKEY_LOCAL_MACHINE\SOFTWARE\WOW6432Node\Adobe\Acrobat Reader\DC`},
	{"adobe", "acrobat_dc", "25.1.20%d.1", famDesktop, false, "acrobat_reader_dc", `C:\Program Files\Adobe\Acrobat DC\Acrobat\Acrobat.exe`, ""},
	{"microsoft", "office", "16.0.17928.%d", famDesktop, false, "", `C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE`, `HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Office\ClickToRun`},
	{"microsoft", ".net_framework", "4.8.%d.0", famWindows, false, "", `C:\Windows\Microsoft.NET\Framework64\v4.0.30319\clr.dll`, ""},
	{"microsoft", ".net", "8.0.%d.0", famAll, false, "", `C:\Program Files\dotnet\dotnet.exe`, ""},
	{"microsoft", "teams", "25163.3611.%d.0", famDesktop, false, "", `C:\Program Files\WindowsApps\MSTeams\ms-teams.exe`, ""},
	{"microsoft", "sql_server_2019", "15.0.43%d.1", famServer, false, "", `C:\Program Files\Microsoft SQL Server\MSSQL15.MSSQLSERVER\MSSQL\Binn\sqlservr.exe`, ""},
	{"microsoft", "exchange_server", "15.2.1748.%d", famServer, false, "", `C:\Program Files\Microsoft\Exchange Server\V15\bin\ExSetup.exe`, ""},
	{"microsoft", "visual_studio_code", "1.%d.0.0", famDesktop | famLinux, false, "", `C:\Users\Public\Microsoft VS Code\Code.exe`, ""},
	{"oracle", "jre", "8.0.%d.0", famAll, false, "jdk", `C:\Program Files\Java\jre1.8.0\bin\java.exe`, `HKEY_LOCAL_MACHINE\SOFTWARE\JavaSoft\Java Runtime Environment`},
	{"oracle", "jdk", "17.0.%d.0", famAll, false, "jre", `C:\Program Files\Java\jdk-17\bin\java.exe`, ""},
	{"oracle", "mysql", "8.0.%d.0", famServer | famLinux, false, "", `C:\Program Files\MySQL\MySQL Server 8.0\bin\mysqld.exe`, ""},
	{"openssl", "openssl", "3.0.%d.0", famAll, false, "python", `C:\Program Files\OpenSSL-Win64\bin\libcrypto-3-x64.dll`, ""},
	{"python", "python", "3.11.%d.0", famAll, false, "", `C:\Program Files\Python311\python.exe`, ""},
	{"nodejs", "node.js", "20.%d.0.0", famAll, false, "", `C:\Program Files\nodejs\node.exe`, ""},
	{"7-zip", "7-zip", "24.%d.0.0", famWindows, false, "", `C:\Program Files\7-Zip\7z.exe`, `HKEY_LOCAL_MACHINE\SOFTWARE\7-Zip`},
	{"rarlab", "winrar", "7.%d.0.0", famClient, false, "", `C:\Program Files\WinRAR\WinRAR.exe`, ""},
	{"videolan", "vlc_media_player", "3.0.%d.0", famDesktop, false, "", `C:\Program Files\VideoLAN\VLC\vlc.exe`, ""},
	{"notepad-plus-plus", "notepad++", "8.%d.0.0", famWindows, false, "", `C:\Program Files\Notepad++\notepad++.exe`, ""},
	{"putty", "putty", "0.%d.0.0", famWindows, false, "", `C:\Program Files\PuTTY\putty.exe`, ""},
	{"wireshark", "wireshark", "4.4.%d.0", famDesktop, false, "", `C:\Program Files\Wireshark\Wireshark.exe`, ""},
	{"zoom", "zoom", "6.5.%d.0", famDesktop, false, "", `C:\Program Files\Zoom\bin\Zoom.exe`, ""},
	{"cisco", "secure_client", "5.1.%d.0", famDesktop, false, "", `C:\Program Files (x86)\Cisco\Cisco Secure Client\vpnagent.exe`, ""},
	{"citrix", "workspace", "24.9.%d.0", famClient, false, "", `C:\Program Files (x86)\Citrix\ICA Client\wfica32.exe`, ""},
	{"vmware", "tools", "12.%d.0.0", famServer | famLinux, false, "", `C:\Program Files\VMware\VMware Tools\vmtoolsd.exe`, ""},
	{"git", "git", "2.%d.0.0", famAll, false, "", `C:\Program Files\Git\bin\git.exe`, ""},
	{"docker", "docker_desktop", "4.%d.0.0", famDesktop, false, "", `C:\Program Files\Docker\Docker\Docker Desktop.exe`, ""},
	{"apache", "log4j", "2.%d.0.0", famServer | famLinux, false, "", `C:\apps\lib\log4j-core.jar`, ""},
	{"apache", "tomcat", "9.0.%d.0", famServer | famLinux, false, "", `C:\Program Files\Apache Software Foundation\Tomcat 9.0\bin\tomcat9.exe`, ""},
	{"apache", "http_server", "2.4.%d.0", famServer | famLinux, false, "", `C:\Apache24\bin\httpd.exe`, ""},
	{"haxx", "curl", "8.%d.0.0", famAll, false, "", `C:\Windows\System32\curl.exe`, ""},
	{"sqlite", "sqlite", "3.4%d.0.0", famAll, false, "", `C:\Program Files\Common Files\sqlite3.dll`, ""},
	{"slack", "slack", "4.%d.0.0", famDesktop, false, "", `C:\Program Files\Slack\slack.exe`, ""},
	{"apple", "safari", "18.%d.0.0", famMac, false, "", `/Applications/Safari.app`, ""},
	{"apple", "xcode", "16.%d.0.0", famMac, false, "", `/Applications/Xcode.app`, ""},
	{"red_hat", "openssl", "1:3.0.7-%d.el9_4", famLinux, false, "", "", ""},
	{"red_hat", "kernel", "5.14.0-%d.el9", famLinux, false, "", "", ""},
	{"ubuntu", "sudo_for_linux", "1.9.9-1ubuntu2.%d", famLinux, false, "", "", ""},
	{"ubuntu", "glibc_for_linux", "2.35-0ubuntu3.%d", famLinux, false, "", "", ""},
	{"ubuntu", "openssh_for_linux", "1:8.9p1-3ubuntu0.%d", famLinux, false, "", "", ""},
	{"ubuntu", "vim_for_linux", "2:8.2.3995-1ubuntu2.%d", famLinux, false, "", "", ""},
	{"ubuntu", "systemd_for_linux", "249.11-0ubuntu3.%d", famLinux, false, "", "", ""},
	{"ubuntu", "libxml2_for_linux", "2.9.13-%d", famLinux, false, "", "", ""},
	{"samba", "samba", "4.19.%d", famLinux, false, "", "/usr/sbin/smbd", ""},
	{"isc", "bind", "9.18.%d", famLinux, false, "", "/usr/sbin/named", ""},
	{"postgresql", "postgresql", "15.%d", famServer | famLinux, false, "", `C:\Program Files\PostgreSQL\15\bin\postgres.exe`, ""},
}

// siblings holds, by product, the product that shares code with it, or -1.
var siblings = func() []int {
	byName := map[string]int{}
	for i, p := range products {
		byName[p.name] = i
	}
	out := make([]int, len(products))
	for i, p := range products {
		out[i] = -1
		if s, ok := byName[p.sibling]; ok && p.sibling != "" {
			out[i] = s
		}
	}
	return out
}()

// operatingSystems has the bit of each product that is one.
var operatingSystems = func() (bits uint64) {
	for i, p := range products {
		if p.os {
			bits |= 1 << i
		}
	}
	return bits
}()

// software is one release of a product: what rows of the mapping name.
type software struct {
	vendor, name, version string
	inID                  string // what ids of export rows hold between device and vulnerability
	export                []byte // the members of an export row that depend on the software alone
	moved                 []byte // the same when it lies on another disk
	mapping               []byte // the same for machinesVulnerabilities
}

func (s *software) label() string { return s.vendor + "/" + s.name + "/" + s.version }

func buildSoftware() []software {
	list := make([]software, 0, len(products)*versionsPerProduct)
	for p := range products {
		for v := range versionsPerProduct {
			list = append(list, newSoftware(&products[p], v))
		}
	}
	return list
}

func newSoftware(p *product, release int) software {
	s := software{vendor: p.vendor, name: p.name, version: fmt.Sprintf(p.pattern, 10+release*7)}
	s.inID = "_" + strings.Join([]string{s.vendor, s.name, s.version}, "_") + "_"
	s.export, s.moved = s.members(p.disk, p.registry), s.members(movedPath(p), p.registry)
	m := appendKey(nil, ',', "productName", s.name)
	m = appendKey(m, ',', "productVendor", s.vendor)
	s.mapping = appendKey(m, ',', "productVersion", s.version)
	return s
}

func (s *software) members(disk, registry string) []byte {
	b := appendKey(nil, ',', "softwareVendor", s.vendor)
	b = appendKey(b, ',', "softwareName", s.name)
	b = appendKey(b, ',', "softwareVersion", s.version)
	b = appendKey(b, ',', "recommendationReference", "va-_-"+s.vendor+"-_-"+s.name)
	b = append(b, `,"diskPaths":`...)
	b = appendStrings(b, nonEmpty(disk))
	b = append(b, `,"registryPaths":`...)
	return appendStrings(b, nonEmpty(registry))
}

// movedPath is where a product lies that has left its usual disk.
func movedPath(p *product) string {
	if rest, windows := strings.CutPrefix(p.disk, "C:"); windows {
		return "D:" + rest
	}
	return "/opt/" + p.name + p.disk
}

func (s *software) exportMembers(r row) []byte {
	if r.flags&flagMoved != 0 {
		return s.moved
	}
	return s.export
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// title turns an inventory name such as "acrobat_reader_dc" into words for texts.
func title(s string) string {
	words := strings.Fields(strings.ReplaceAll(s, "_", " "))
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, " ")
}
