package inventory

import "testing"

func TestClassifyPlatform(t *testing.T) {
	t.Parallel()
	type result struct {
		family, warning string
		reason          Reason
	}
	odd := result{FamilyOther, PlatformUnrecognised, Accepted}
	refused := func(r Reason) result { return result{FamilyOther, "", r} }
	for want, platforms := range map[result][]string{
		{FamilyWindows, "", Accepted}: {
			"Windows10", "Windows11", "Windows", "Windows7", "WindowsXp", "Windows8.1", "Windows10WVD", "windows 11",
		},
		{FamilyWindowsServer, "", Accepted}: {"WindowsServer2025", "WindowsServer2012R2", "Windows Server 2019", "WINDOWSSERVER2008R2"},
		{FamilyMacOS, "", Accepted}:         {"macOS", "macOS14", "OSX", "OS X 10.9"},
		{FamilyLinux, "", Accepted}: {
			"Linux", "Ubuntu", "Debian", "RedHatEnterpriseLinux", "RHEL9", "CentOS", "Fedora", "SuseLinux", "SLES", "openSUSE", "OracleLinux", "Oracle",
			"AmazonLinux2", "AlmaLinux", "RockyLinux", "AzureLinux", "Mariner", "Alpine", "Kali", "Mint", "LinuxMint",
		},
		{FamilyBSD, "", Accepted}:  {"FreeBSD"},
		{FamilyUnix, "", Accepted}: {"Solaris", "Solaris11", "AIX"},
		refused(PlatformMobile): {
			"iOS", "iOS 17.2", "Android", "Android14", "FireOS", "Fire OS", "iPadOS", "watchOS", "visionOS", "wearOS", "WindowsPhone8", "WindowsMobile",
			"Windows10Mobile", "HarmonyOS", "KaiOS", "ChromeOS", "BlackBerry10", "Symbian",
		},
		refused(PlatformIoT): {
			"tvOS", "webOS", "RokuOS", "Tizen", "IOS-XE", "IOS XR", "NX-OS", "Junos", "PAN-OS", "FortiOS", "EOS", "VxWorks", "QNX", "FreeRTOS",
			"PlayStation5", "Xbox", "NintendoSwitch",
		},
		odd: {"NewDistro2027", "", "Other", "CanBeOnboarded", "eosLinux", "biosystem", "myAndroidEmulator", "TheWindows"},
	} {
		for _, platform := range platforms {
			family, warning, reason := ClassifyPlatform(platform, true)
			if got := (result{family, warning, reason}); got != want {
				t.Errorf("ClassifyPlatform(%q, onboarded) = %v, want %v", platform, got, want)
			}
			if want == odd {
				want := refused(PlatformOdd)
				family, warning, reason = ClassifyPlatform(platform, false)
				if got := (result{family, warning, reason}); got != want {
					t.Errorf("ClassifyPlatform(%q, not onboarded) = %v, want %v", platform, got, want)
				}
			} else if family2, _, reason2 := ClassifyPlatform(platform, false); family2 != family || reason2 != reason {
				t.Errorf("ClassifyPlatform(%q) depends on onboarding: %q %q", platform, family2, reason2)
			}
		}
	}
}

func TestIsWSL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, family string
		tags         []string
		want         bool
	}{
		{"host", FamilyLinux, []string{"other", " wsl2 "}, true},
		{"host", FamilyLinux, []string{"WSL2"}, true},
		{"host", FamilyLinux, []string{"edge-host_WSL2"}, true},
		{"host", FamilyLinux, []string{"WSL2-test"}, false},
		{"host", FamilyLinux, nil, false},
		{"host", FamilyWindows, []string{"WSL2"}, false}, // the Windows host itself may be tagged so
		{"HOST_WSL2", FamilyLinux, nil, true},
		{"host_wsl2.", FamilyLinux, nil, true},
		{"host_wsl2.contoso.com", FamilyLinux, nil, true},
		{"hostwsl2", FamilyLinux, nil, false},
	}
	for _, tt := range tests {
		if got := isWSL(&Machine{DNSName: tt.name, Tags: tt.tags}, tt.family); got != tt.want {
			t.Errorf("isWSL(%q, %s, %q) = %v", tt.name, tt.family, tt.tags, got)
		}
	}
}
