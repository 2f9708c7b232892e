/** Products, and words that fill the templates' slots. The held-out ones are in no training text. */
import type { Divided, Split, Words } from './grammar.js'
import type { Random } from './random.js'

const list = (text: string): string[] => text.trim().split(/\s+/)

/** A product is a kind and a thing: "garden chair". None begins with a vowel: it is always "a". */
const kinds = list(`
  kitchen garden desk travel steel glass paper leather cotton wool plastic mini folding solar summer winter school camping
  silver golden bamboo ceramic pocket wall`)
const things = list(`
  lamp kettle jacket radio chair camera phone backpack clock bike table mirror pillow blanket carpet curtain sofa shelf
  basket bucket brush towel bowl cup knife spoon grill mixer fan hammer drill saw rake tent stove helmet glove boot shirt
  coat belt wallet watch ring hat mask drum guitar flute speaker keyboard mouse puzzle kite ball racket sled wagon bottle
  filter`)

/** Each kind and each thing is in training, but a fifth of the pairs are held out. */
const isHeldOut = (kind: number, thing: number): boolean => (2 * kind + thing) % 5 === 0

const pairs = (heldOut: boolean): string[] =>
  kinds.flatMap((kind, kindIndex) =>
    things.filter((_, thingIndex) => isHeldOut(kindIndex, thingIndex) === heldOut).map((thing) => `${kind} ${thing}`)
  )

export const items: Divided<string> = { train: pairs(false), heldOut: pairs(true) }

/** Any product, as a regular expression. */
export const itemPattern = `(?:${kinds.join('|')}) (?:${things.join('|')})`

/** Another product of the split; half of them differ in one word only. */
export function otherItem(random: Random, item: string, split: Split): string {
  const [kind, thing] = item.split(' ') as [string, string]
  const draw = random.next()
  const others = items[split].filter((other) => {
    if (other === item) return false
    return draw < 0.25 ? other.startsWith(`${kind} `) : draw < 0.5 ? other.endsWith(` ${thing}`) : true
  })
  return random.pick(others)
}

export const words: Words = {
  quality: {
    train: list('new blue red green black white small big round cheap pretty'),
    heldOut: list('yellow purple heavy')
  },
  day: {
    train: [
      'today',
      'tomorrow',
      'on Monday',
      'on Tuesday',
      'on Friday',
      'this week',
      'in two days',
      'within three days',
      'soon'
    ],
    heldOut: ['on Sunday', 'within two weeks']
  },
  span: {
    train: ['a week', 'two weeks', 'ten days', 'a month', 'three days', 'many days'],
    heldOut: ['five weeks', 'two months']
  },
  person: {
    train: list('uncle sister boss neighbor cousin father teacher driver baker doctor'),
    heldOut: list('grandmother plumber colleague')
  },
  place: {
    train: list('river garden kitchen village harbor market forest station bridge mountain'),
    heldOut: list('lake castle meadow')
  },
  thing: {
    train: ['coffee machine', 'cat', 'dog', 'window', 'roof', 'door', 'car', 'team', 'weather', 'music'],
    heldOut: ['parrot', 'ceiling', 'orchestra']
  }
}

/** More of the same for the judge's training: it must learn that a slot takes words that it does not know. */
const moreWords: Words = {
  quality: {
    train: list('bright dark old tiny soft shiny plain fancy brown pink long light'),
    heldOut: []
  },
  day: {
    train: [
      'on Wednesday',
      'on Thursday',
      'next week',
      'tonight',
      'within a day',
      'in five days',
      'next month',
      'at noon',
      'within four weeks'
    ],
    heldOut: []
  },
  span: {
    train: ['four weeks', 'six days', 'a year', 'nine weeks', 'half a year', 'eight days', 'three months'],
    heldOut: []
  },
  person: {
    train: list(`
      brother mother daughter son aunt nephew niece grandfather friend lawyer nurse painter carpenter gardener tailor
      butcher farmer fisherman singer dancer pilot sailor barber cashier librarian landlord roommate partner student
      professor electrician mechanic waiter dentist janitor secretary`),
    heldOut: []
  },
  place: {
    train: list(`
      beach island valley desert airport library museum theater hospital school church tower tunnel farm vineyard
      orchard swamp canyon cliff waterfall park playground stadium factory warehouse courtyard cemetery quarry pier
      lighthouse monastery crossroads bakery`),
    heldOut: []
  },
  thing: {
    train: list(`
      horse rabbit hamster goldfish turtle chicken goose staircase chimney fireplace hallway balcony fence gate elevator
      printer heater engine tractor bicycle airplane rowboat violin trumpet choir band parade circus thunderstorm rain
      snow sunshine fog dishwasher freezer toaster bathtub sink`),
    heldOut: []
  }
}

/** `words` and the words for the judge. */
export const allWords: Words = Object.fromEntries(
  Object.entries(words).map(([name, { train, heldOut }]) => [
    name,
    { train: [...train, ...moreWords[name]!.train], heldOut }
  ])
)
