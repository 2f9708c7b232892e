/** Keeps keys out of whatever is shown or stored. */

/** Shorter ones are no keys but words of a test, which would be cut out of honest text. */
const shortestKey = 6

/** Replaces each secret, as it is and as it stands in an address, by `[key]`. */
export function redactor(secrets: string[]): (text: string) => string {
  const forms = [...new Set(secrets.filter(({ length }) => length >= shortestKey))].flatMap((secret) => [
    ...new Set([secret, encodeURIComponent(secret)])
  ])
  if (forms.length === 0) return (text) => text
  return (text) => {
    let clean = text
    for (const form of forms) if (clean.includes(form)) clean = clean.replaceAll(form, '[key]')
    return clean
  }
}
