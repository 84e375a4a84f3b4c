package fault

// The four titles of the help article: "Failed to get access token", "Access denied", "Insufficient privileges" and the
// connectivity one are kept word for word, because customers search for them.
const (
	titleToken        = "Failed to get access token"
	titleDenied       = "Access denied"
	titlePrivileges   = "Insufficient privileges"
	titleConnectivity = "Cannot reach Microsoft Defender"
)

var definitions = []Definition{
	{CodeInvalidRequest, Invalid, "The request is not valid", "A parameter or field is missing, unknown or malformed.", "Correct the fields listed under errors and send it again.", true, Caller},
	{CodeInvalidJSON, Invalid, "The body is not acceptable JSON", "The body is no JSON object in UTF-8, repeats a member, holds NUL, is nested too deeply, or has something behind it.", "Correct what is listed under errors and send it again.", true, Caller},
	{CodeInvalidCursor, Invalid, "The cursor is not valid", "The cursor was altered, is older than 24 hours, or belongs to another filter, sort or tenant.", "Start again without cursor.", true, Caller},
	{CodeUnauthenticated, Unauthenticated, "No valid credential", "The Authorization header is missing, or the API key is unknown, expired or revoked.", "Send a current API key as \"Authorization: Bearer …\".", true, Caller},
	{CodeForbidden, Forbidden, "Not allowed", "The role of this API key does not include the operation.", "Use a key with the role named in the operation's description.", true, Caller},
	{CodeEntitlementMissing, Forbidden, "Subscription does not include internal assessments", "Everything in Microsoft Defender is internal; without a subscription that includes internal assessments nothing is imported.", "Ask your PGP representative to add internal assessments to the subscription. Connecting and validating work meanwhile.", true, Operator},
	{CodeNotFound, NotFound, "Not found", "There is no such object in this tenant, or no such route.", "Check the id and the path.", true, Caller},
	{CodeMethodNotAllowed, NotAllowed, "Method not allowed", "The route exists but does not offer this method.", "Use a method listed in the Allow header.", true, Caller},
	{CodeUnsupportedMedia, Unsupported, "Unsupported media type", "The body is not declared as JSON.", "Send Content-Type: application/json.", true, Caller},
	{CodeBodyTooLarge, TooLarge, "Body too large", "The request body is larger than 64 KiB.", "Send a smaller body.", true, Caller},
	{CodeURITooLong, URITooLong, "URL too long", "The path and query are longer than 8 KiB.", "Repeat fewer filters.", true, Caller},
	{CodeConflict, Conflict, "Conflict with the present state", "The object is in a state that does not allow the operation.", "Read the object again and decide anew.", true, Caller},
	{CodeAlreadyConnected, Conflict, "Directory already connected", "This Microsoft directory is connected already in this tenant; one integration serves one directory.", "Use the existing integration: change its settings or rotate its secret.", true, Caller},
	{CodeRunInProgress, Conflict, "A run is in progress", "Only one run is active for an integration at a time.", "Follow the run given by run_id, or cancel it first.", false, Caller},
	{CodeIntegrationPaused, Conflict, "The integration is paused", "A paused integration takes no runs.", "Resume it first; that starts a run by itself.", true, Caller},
	{CodePreconditionFailed, Precondition, "Changed in the meantime", "The object has changed since the version named in If-Match.", "Read it again, apply the change to the new version and send its ETag.", false, Caller},
	{CodeNoImportSelected, Refused, "Nothing selected for import", "Both Import Internal Assets and Import Vulnerabilities are off.", "Turn on at least one of the two.", true, Caller},
	{CodeInvalidExpiry, Refused, "The expiry time is not acceptable", "The time lies in the past or too far ahead.", "Choose a time in the future, for API keys at most one year (366 days) ahead.", true, Caller},
	{CodeUnavailable, Unavailable, "Temporarily unavailable", "The service cannot reach its database or is shutting down.", "Try again after the time in Retry-After.", false, Nobody},
	{CodeInternal, Internal, "Internal error", "A defect of this service; it has been logged under the request id.", "Try again; if it persists, report the request id.", false, Operator},

	{CodeCredentialsInvalid, Refused, titleToken, "Microsoft Entra ID refused the client secret for this application.", "In the Microsoft Entra admin center open the app registration, Certificates & secrets, create a new client secret and copy its Value (shown only once), not its Secret ID. Check that it belongs to this Client ID.", true, CustomerAdmin},
	{CodeSecretIDPasted, Refused, titleToken, "The client secret field holds a GUID: that is the Secret ID of the secret, not its Value.", "Copy the Value column of Certificates & secrets. It is shown only once, right after creation; create a new secret if it is gone.", true, CustomerAdmin},
	{CodeSecretExpired, Refused, titleToken, "The client secret or certificate has passed its expiry date.", "Create a new client secret or certificate under Certificates & secrets, then rotate it here.", true, CustomerAdmin},
	{CodeDirectoryNotFound, Refused, titleToken, "Microsoft Entra ID knows no directory with this Tenant ID.", "Copy the Directory (tenant) ID from the app registration's Overview page, and check that the Microsoft cloud (commercial, government) is the right one.", true, CustomerAdmin},
	{CodeApplicationNotFound, Refused, titleToken, "The directory holds no application with this Client ID.", "Copy the Application (client) ID from the app registration's Overview page, and check that it was registered in the directory given as Tenant ID.", true, CustomerAdmin},
	{CodeApplicationDisabled, Refused, titleToken, "The application is disabled in the customer's directory.", "In Enterprise applications open the application, Properties, and set \"Enabled for users to sign-in\" to Yes.", true, CustomerAdmin},
	{CodeConsentMissing, Refused, titlePrivileges, "No administrator has consented: the application holds none of the permissions it needs.", "Under API permissions add the application permissions Machine.Read.All and Vulnerability.Read.All of WindowsDefenderATP, press \"Grant admin consent\", wait a few minutes and validate again.", true, CustomerAdmin},
	{CodePermissionMissing, Refused, titlePrivileges, "The application lacks a permission that an enabled import needs.", "Under API permissions add the missing application permission of WindowsDefenderATP, press \"Grant admin consent\", wait a few minutes and validate again; or turn off the import that needs it.", true, CustomerAdmin},
	{CodeAccessBlocked, Refused, titleDenied, "A Conditional Access or tenant restriction policy of the customer blocks the sign-in.", "Exclude the application from the policy, or allow the addresses PGP connects from.", true, CustomerAdmin},
	{CodeLicenceMissing, Refused, titleDenied, "The directory has no active licence for this part of Microsoft Defender for Endpoint.", "Check the Defender for Endpoint subscription (vulnerability management needs Plan 2 or the add-on), or turn off the import that needs it.", true, CustomerAdmin},
	{CodeServiceNotEnabled, Refused, titleDenied, "Microsoft Defender for Endpoint was never set up in this directory, or it was disabled there.", "Open the Microsoft Defender portal once as an administrator to set the service up, then validate again.", true, CustomerAdmin},
	{CodeUpstreamThrottled, Unavailable, "Microsoft is limiting requests", "Microsoft answered that the request quota of this application and directory is used up.", "Try again after the time in Retry-After, which a check tells as retry_after_seconds; runs wait and try again by themselves. If it persists, look for other programs that use the same app registration.", false, Nobody},
	{CodeUpstreamUnavailable, Unavailable, titleConnectivity, "Microsoft's service failed or could not be reached.", "Nothing to mend: try again in some minutes and look at the Microsoft service health page. If only this service is affected, check its outbound network.", false, Nobody},
	{CodeUpstreamTimeout, Unavailable, titleConnectivity, "Microsoft's service did not answer in time.", "Nothing to mend: try again in some minutes.", false, Nobody},
	{CodeUpstreamUnexpected, Unavailable, "Unexpected answer from Microsoft", "Microsoft answered in a way this service does not know.", "Try again; if it persists, report the request id and the correlation id.", false, Operator},
	{CodeSecretUnreadable, Refused, "Stored secret cannot be read", "The stored client secret does not open with the keys this service has.", "The operator checks the keyring; entering the secret again by rotate-secret also mends it.", true, Operator},
	{CodeCertificateUnusable, Refused, "The certificate cannot be used", "The certificate field does not hold a private key and its certificate as Microsoft Entra ID takes them.", "Paste both in PEM, one behind the other: an RSA key of 2048 bits or more without a password, and the certificate made for it, which has not expired.", true, CustomerAdmin},
	{CodeMethodUnavailable, Refused, "The sign-in method is not available", "This service has no identity of its own that a directory could trust.", "Choose a client secret or a certificate; or the operator sets DEFENDERD_FEDERATED_TOKEN_FILE.", true, Operator},
	{CodeFederatedToken, Unavailable, titleToken, "The platform's own token, by which this service signs in without a secret, cannot be read or is not valid.", "Nothing to mend at Microsoft: the operator checks the file named by DEFENDERD_FEDERATED_TOKEN_FILE and what renews it.", false, Operator},

	{CodeWorkerLost, Internal, "The worker was lost", "The process that carried out the run ended without finishing it, more often than allowed.", "Start a new run; if it happens again, the operator looks at the logs of the workers.", false, Operator},
	{CodeRunCancelled, Conflict, "The run was cancelled", "Somebody cancelled the run, or paused or disconnected the integration.", "Start a new run when wanted.", false, Caller},
	{CodeRemovalHeld, Conflict, "Removal held back", "Far fewer records arrived than last time (none, or less than half). Nothing was marked removed or fixed.", "If the drop is real, the next complete run confirms it by itself; if not, check licence, permissions and device groups in Microsoft Defender.", false, Nobody},
	{CodeUnreadable, Unavailable, "Some records could not be read", "Microsoft sent records that are damaged or have no identifier. They were set aside; nothing was marked removed or fixed.", "Nothing to do: the next complete run settles it. If it persists, report the request id of the run.", false, Nobody},
	{CodeReportPoor, Unavailable, "The vulnerability report was not to be had", "Microsoft offered none of its reports, so a poorer list was read instead, which may leave rows out. New findings were taken; nothing was marked fixed.", "Nothing to do: the next run tries the report again. If it persists, look at the Microsoft service health page.", false, Nobody},
	{CodeSecretExpiring, Conflict, "The client secret expires soon", "The client secret or certificate is close to its expiry date; after it nothing is imported.", "Create a new client secret or certificate under Certificates & secrets and rotate it here; staged, it takes over by itself once it works.", false, CustomerAdmin},
	{CodeLedgerUnbalanced, Internal, "The figures of the run do not add up", "What the run read, took, skipped and stored does not balance: a defect of this service, which has been logged. What had not been applied by then was not.", "Start a full run, which compares everything and sets the counters right; if it persists, report the id of the run.", false, Operator},
	{CodeQuotaExceeded, Forbidden, "Asset quota reached", "The tenant's subscription allows no further assets; known ones are kept up to date, new ones are skipped.", "Ask your PGP representative to raise the quota.", true, Operator},
}
