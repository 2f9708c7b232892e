/** Colours for a terminal, and none in a pipe or a file (also not under CI, where logs are read by programs). */
import colors from 'picocolors'

const wanted = process.env.NO_COLOR === undefined || process.env.NO_COLOR === ''

/** For text on stdout. */
export const outColors = colors.createColors(wanted && process.stdout.isTTY === true)
/** For text on stderr. */
export const errorColors = colors.createColors(wanted && process.stderr.isTTY === true)
