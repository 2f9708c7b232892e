/** A reply's headers by name, whatever its case. */
export interface ReplyHeaders {
  get(name: string): string | null
}

export class HeaderRecord implements ReplyHeaders {
  constructor(private readonly record: Record<string, string | string[] | undefined>) {}

  get(name: string): string | null {
    const value = this.record[name.toLowerCase()]
    return value === undefined ? null : Array.isArray(value) ? value.join(', ') : value
  }
}
