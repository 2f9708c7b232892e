/** Pieces that the schemas of the records share. */
import { Type } from '@sinclair/typebox'

/** One of a few words. */
export const words = <const Names extends readonly string[]>(names: Names, description: string) =>
  Type.Unsafe<Names[number]>(
    Type.Union(
      names.map((name) => Type.Literal(name)),
      { description }
    )
  )

/** A number, or null where there is no bound. */
export const bound = (description: string, options: { minimum?: number; exclusiveMinimum?: number } = {}) =>
  Type.Union([Type.Number(options), Type.Null()], { description })

/** Unknown keys are errors. */
export const strict = { additionalProperties: false } as const
