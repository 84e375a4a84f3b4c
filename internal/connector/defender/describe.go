package defender

import "pgp.internal/defender/internal/connector"

// Kind is this connector's name, as an integration's type and as PGP's capability.
const Kind connector.Kind = "microsoft-defender"

// Surface is the attack surface of everything Defender reports.
const Surface = "internal"

const guidPattern = `^\s*\{?[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\}?\s*$`

// Describe implements connector.Connector.
func (c *Connector) Describe() connector.Description {
	return connector.Description{
		Kind:        Kind,
		Name:        "Microsoft Defender",
		Category:    "managed_detection_and_response",
		Description: "Imports the endpoints that Microsoft Defender for Endpoint manages as internal assets, and their network-accessible vulnerabilities as findings.",
		DocsURL:     "https://learn.microsoft.com/en-us/defender-endpoint/api/exposed-apis-create-app-webapp",
		Surface:     Surface,
		Multiple:    true,
		Permissions: permissions(),
		SetupSteps:  setupSteps(),
		Fields:      formFields(),
		Capability:  capability(),
	}
}

func permissions() []connector.Permission {
	return []connector.Permission{
		{Name: machineRead, Resource: "WindowsDefenderATP", Kind: "application",
			Description: "Read all machine profiles", NeededFor: "import_assets, import_vulnerabilities"},
		{Name: vulnerabilityRead, Resource: "WindowsDefenderATP", Kind: "application",
			Description: "Read Threat and Vulnerability Management vulnerability information", NeededFor: "import_vulnerabilities"},
	}
}

func setupSteps() []string {
	return []string{
		"Sign in to the Microsoft Entra admin center as an administrator and open App registrations, New registration. Enter a name, keep \"Accounts in this organizational directory only\" and press Register.",
		"Open API permissions, Add a permission, APIs my organization uses, and choose WindowsDefenderATP.",
		"Choose Application permissions, select Machine.Read.All (under Machine) and Vulnerability.Read.All (under Vulnerability), and press Add permissions.",
		"Press Grant admin consent and confirm. Both permissions must show the status Granted.",
		"Open Certificates & secrets, New client secret, choose an expiry and press Add. Copy the Value at once: it is shown only now. The Secret ID is not needed.",
		"Open Overview and copy the Application (client) ID and the Directory (tenant) ID.",
		"Enter the three values here, choose what to import and press Connect.",
	}
}

func formFields() []connector.FormField {
	const guidExample = "00000000-0000-0000-0000-000000000000"
	return []connector.FormField{
		{Name: "credentials.client_id", Label: "Client ID", Input: "text", Required: true, Placeholder: guidExample, Pattern: guidPattern,
			Help: "The Application (client) ID on the Overview page of the app registration."},
		{Name: "credentials.client_secret", Label: "Client Secret", Input: "password", Required: true, Secret: true,
			Help: "The Value of a client secret under Certificates & secrets, not its Secret ID."},
		{Name: "credentials.tenant_id", Label: "Tenant ID", Input: "text", Required: true, Placeholder: guidExample, Pattern: guidPattern,
			Help: "The Directory (tenant) ID on the Overview page of the app registration."},
		{Name: "settings.import_assets", Label: "Import Internal Assets", Input: "checkbox", Default: true, Recommended: true,
			Requires: "internal_assessments", Help: "Imports computers and servers that Defender manages and that have a valid DNS name and IP address."},
		{Name: "settings.import_vulnerabilities", Label: "Import Vulnerabilities", Input: "checkbox", Default: true, Recommended: true,
			Requires: "internal_assessments", Help: "Imports vulnerabilities of these machines that can be attacked over the network."},
	}
}

func capability() connector.Capability {
	return connector.Capability{
		Name: string(Kind), Title: "Microsoft Defender", Surface: Surface, Integration: true,
		Parameters: []connector.Parameter{
			{Name: "importAssets", Description: "Import internal assets", Type: "bool", Default: "true"},
			{Name: "importVulnerabilities", Description: "Import vulnerabilities", Type: "bool", Default: "true"},
		},
	}
}
