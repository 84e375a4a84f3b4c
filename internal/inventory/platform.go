package inventory

import (
	"strings"
	"unicode"
)

// Families of operating systems.
const (
	FamilyWindows       = "windows"
	FamilyWindowsServer = "windows_server"
	FamilyMacOS         = "macos"
	FamilyLinux         = "linux"
	FamilyBSD           = "bsd"
	FamilyUnix          = "unix"
	FamilyOther         = "other"
)

// PlatformUnrecognised warns that an onboarded machine names a platform that is on no list. It is taken, because a
// Defender agent runs on it.
const PlatformUnrecognised = "platform_unrecognised"

// platformRule matches a whole platform name, or its beginning when the pattern ends in "*". Parts in the middle never
// count: "ios" sits inside other words.
type platformRule struct {
	patterns string // blank-separated
	family   string
	reason   Reason
}

// platformRules is searched from the top: what is no traditional endpoint comes before what is one, and network gear
// before phones, because "iosxe" begins like "ios".
var platformRules = compile([]platformRule{
	{"iosxe* iosxr* nxos junos panos fortios eos vxworks qnx freertos", "", PlatformIoT},
	{"tvos* webos* rokuos* tizen* playstation* xbox* nintendo*", "", PlatformIoT},
	{"ios* ipados* android* fireos* watchos* visionos* wearos* windowsphone* windowsmobile* windows10mobile*", "", PlatformMobile},
	{"harmonyos* kaios* chromeos* blackberry* symbian*", "", PlatformMobile},

	{"windowsserver*", FamilyWindowsServer, Accepted},
	{"windows*", FamilyWindows, Accepted},
	{"macos* osx*", FamilyMacOS, Accepted},
	{"linux* ubuntu* debian* redhat* rhel* centos* fedora* suse* sles* opensuse* oraclelinux* oracle*", FamilyLinux, Accepted},
	{"amazonlinux* almalinux* rocky* azurelinux* mariner* alpine* kali* mint*", FamilyLinux, Accepted},
	{"freebsd*", FamilyBSD, Accepted},
	{"solaris* aix*", FamilyUnix, Accepted},
})

type platformPattern struct {
	text   string
	prefix bool
	rule   platformRule
}

func compile(rules []platformRule) []platformPattern {
	var patterns []platformPattern
	for _, rule := range rules {
		for word := range strings.FieldsSeq(rule.patterns) {
			text, prefix := strings.CutSuffix(word, "*")
			patterns = append(patterns, platformPattern{text, prefix, rule})
		}
	}
	return patterns
}

// ClassifyPlatform sorts a platform name into a family, or says why such a machine is no traditional endpoint. Case,
// blanks and punctuation do not matter: "Fire OS" is "fireos". An unknown name is accepted with a warning if the machine
// is onboarded. With a reason, family is [FamilyOther].
func ClassifyPlatform(platform string, onboarded bool) (family string, warning string, reason Reason) {
	name := lettersAndDigits(platform)
	for i := range platformRules {
		p := &platformRules[i]
		if name != p.text && (!p.prefix || !strings.HasPrefix(name, p.text)) {
			continue
		}
		if p.rule.reason != Accepted {
			return FamilyOther, "", p.rule.reason
		}
		return p.rule.family, "", Accepted
	}
	if !onboarded {
		return FamilyOther, "", PlatformOdd
	}
	return FamilyOther, PlatformUnrecognised, Accepted
}

func lettersAndDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// wslTag is what the Defender plug-in for the Windows Subsystem for Linux tags its instances with.
const wslTag = "wsl2"

// isWSL recognises a Linux that lives inside a Windows machine. It bears the name of its host and has no vulnerability
// data of its own, so it would only shadow the host.
func isWSL(m *Machine, family string) bool {
	if family == FamilyLinux {
		for _, tag := range m.Tags {
			if word := fold(tag); word == wslTag || strings.HasSuffix(word, "_"+wslTag) {
				return true
			}
		}
	}
	name := strings.TrimSuffix(fold(m.DNSName), ".")
	first, _, _ := strings.Cut(name, ".")
	return strings.HasSuffix(name, "_"+wslTag) || strings.HasSuffix(first, "_"+wslTag)
}
