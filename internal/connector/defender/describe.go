package defender

import (
	"slices"

	"pgp.internal/defender/internal/connector"
)

// Kind is this connector's name, as an integration's type and as PGP's capability.
const Kind connector.Kind = "microsoft-defender"

// Surface is the attack surface of everything Defender reports.
const Surface = "internal"

const guidPattern = `^\s*\{?[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\}?\s*$`

// Describe implements connector.Connector.
func (c *Connector) Describe() connector.Description {
	trust := c.federation()
	return connector.Description{
		Kind:        Kind,
		Name:        "Microsoft Defender",
		Category:    "managed_detection_and_response",
		Description: "Imports the endpoints that Microsoft Defender for Endpoint manages as internal assets, and their network-accessible vulnerabilities as findings.",
		DocsURL:     "https://learn.microsoft.com/en-us/defender-endpoint/api/exposed-apis-create-app-webapp",
		Surface:     Surface,
		Multiple:    true,
		Permissions: permissions(),
		SetupSteps:  setupSteps(trust),
		Fields:      formFields(trust),
		Federation:  trust,
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

func setupSteps(trust *connector.Trust) []string {
	proof := []string{
		"Open Certificates & secrets, New client secret, choose an expiry and press Add. Copy the Value at once: it is shown only now. The Secret ID is not needed.",
		"Or sign in with a certificate. Upload its public part under Certificates & secrets, Certificates, and keep the private key at hand: RSA of 2048 bits or more, in PEM, without a password.",
	}
	if trust != nil {
		proof = append(proof, "Or let your directory trust this service. Open Certificates & secrets, Federated credentials, Add credential, Other issuer, and enter issuer "+
			trust.Issuer+", subject "+trust.Subject+" and audience "+trust.Audience+" exactly so. Nothing secret is handed over then, and nothing expires.")
	}
	return slices.Concat([]string{
		"Sign in to the Microsoft Entra admin center as an administrator and open App registrations, New registration. Enter a name, keep \"Accounts in this organizational directory only\" and press Register.",
		"Open API permissions, Add a permission, APIs my organization uses, and choose WindowsDefenderATP.",
		"Choose Application permissions, select Machine.Read.All (under Machine) and Vulnerability.Read.All (under Vulnerability), and press Add permissions.",
		"Press Grant admin consent and confirm. Both permissions must show the status Granted.",
	}, proof, []string{
		"Open Overview and copy the Application (client) ID and the Directory (tenant) ID.",
		"Enter the values here, choose what to import and press Connect.",
	})
}

// methods of sign-in that the form offers, the usual one first.
func methods(trust *connector.Trust) []string {
	offered := []string{string(connector.MethodSecret), string(connector.MethodCertificate)}
	if trust != nil {
		offered = append(offered, string(connector.MethodFederated))
	}
	return offered
}

func formFields(trust *connector.Trust) []connector.FormField {
	const guidExample = "00000000-0000-0000-0000-000000000000"
	const method = "credentials.method"
	help := "How the application proves itself: by a client secret, or by a certificate."
	if trust != nil {
		help = "How the application proves itself: by a client secret, by a certificate, or, federated, by this service's own identity (issuer " +
			trust.Issuer + ", subject " + trust.Subject + ", audience " + trust.Audience + ")."
	}
	return []connector.FormField{
		{Name: "credentials.client_id", Label: "Client ID", Input: "text", Required: true, Placeholder: guidExample, Pattern: guidPattern,
			Help: "The Application (client) ID on the Overview page of the app registration."},
		{Name: method, Label: "Sign-in Method", Input: "select", Default: string(connector.MethodSecret), Options: methods(trust), Help: help},
		{Name: "credentials.client_secret", Label: "Client Secret", Input: "password", Required: true, Secret: true,
			When: &connector.Condition{Field: method, Equals: string(connector.MethodSecret)},
			Help: "The Value of a client secret under Certificates & secrets, not its Secret ID."},
		{Name: "credentials.certificate", Label: "Certificate", Input: "textarea", Required: true, Secret: true,
			When: &connector.Condition{Field: method, Equals: string(connector.MethodCertificate)},
			Help: "Private key and certificate in PEM, one behind the other: RSA of 2048 bits or more, without a password."},
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
