/** What customers write about, and the shop's answers. In a held-out template known words stand in a new order. */
import type { Divided } from './grammar.js'

export interface Matter {
  name: string
  messages: Divided<string>
  /** One sentence each; every one names the item, so that an answer about another one can be told. */
  answers: Divided<string>
  /** More answers for the judge's training; the policy does not learn them. */
  more: readonly string[]
}

/** The customer's item: "my red kettle". */
const X = '(my|the) ({quality} |){item}'

export const matters: readonly Matter[] = [
  {
    name: 'delivery',
    messages: {
      train: [
        `where is ${X}(|, please)?`,
        `${X} has not (come|arrived)(| yet).`,
        `when will ${X} (arrive|come|be delivered)?`,
        `I (have waited|waited) {span} for ${X}.`,
        `I (still wait|am still waiting) for ${X}.`,
        `has ${X} been (sent|posted)(| yet)?`,
        `the parcel with ${X} (is late|has not come|is lost).`,
        `is ${X} on (its|the) way?`,
        `the delivery of ${X} (has not come|should have been here last week).`,
        `you (sent|posted) ${X} {span} ago and I still wait.`
      ],
      heldOut: [
        `when does the parcel with ${X} arrive?`,
        `the delivery of ${X} is late(|, where is it).`,
        `I have waited {span} and ${X} has not arrived.`
      ]
    },
    answers: {
      train: [
        'Your {item} (arrives|will arrive) {day}.',
        'Your {item} is on its way(| and arrives {day}).',
        'We (sent|posted) your {item} and it arrives {day}.',
        'The parcel with your {item} (arrives|will arrive) {day}.',
        'You will have your {item} {day}.',
        'The delivery of your {item} (is on its way|comes {day}).',
        'Your {item} left our house and is on its way.'
      ],
      heldOut: ['The parcel with your {item} is on its way.', 'The delivery of your {item} arrives {day}.']
    },
    more: [
      'The parcel with your {item} (comes {day}|left our house).',
      'The delivery of your {item} (will arrive {day}|left our house {day}).',
      '(Your|The) {item} (comes|will come) to you {day}.',
      'We sent (your|the) {item} {day}.',
      'Your {item} was posted and is on its way to you.',
      'You get your {item} with the parcel {day}.'
    ]
  },
  {
    name: 'refund',
    messages: {
      train: [
        `I want my money back for ${X}.`,
        `please refund ${X}.`,
        `how do I get a refund for ${X}?`,
        `I (sent|gave) ${X} back and got no (money|refund).`,
        `I would like (a refund|my money back) for ${X}.`,
        `where is (the|my) refund for ${X}?`,
        `when do I get the money for ${X}?`,
        `I returned ${X} and want (a refund|my money).`,
        `can you refund ${X}?`,
        `I still have no money back for ${X}.`
      ],
      heldOut: [
        `can I get my money back for ${X}?`,
        `I returned ${X} {span} ago and still have no refund.`,
        `when will you refund ${X}?`
      ]
    },
    answers: {
      train: [
        'We (refund|will refund) your {item} {day}.',
        'The refund for your {item} (goes to your card {day}|is on your card).',
        'We (started|have started) the refund for your {item}.',
        'You get the money for your {item} back {day}.',
        'The money for your {item} is on your card {day}.',
        'You (get|will get) a refund for your {item}.',
        'Your money for the {item} comes back {day}.'
      ],
      heldOut: ['The money for your {item} goes to your card {day}.', 'You get the refund for your {item} {day}.']
    },
    more: [
      'The refund for (your|the) {item} (comes {day}|will come {day}|was sent).',
      'You (will get|get) (the|your) money for (your|the) {item} {day}.',
      'The money for the {item} (comes back|is sent to your card) {day}.',
      'We (send|will send) you the money for your {item}.',
      'We gladly refund (your|the) {item}.',
      'Your card gets the refund for your {item} {day}.'
    ]
  },
  {
    name: 'broken',
    messages: {
      train: [
        `${X} (came|arrived) broken.`,
        `${X} does not work(| any more).`,
        `there is a crack in ${X}.`,
        `${X} (broke|fell apart) after {span}.`,
        `${X} is (broken|damaged).`,
        `I got a (broken|damaged) {item}.`,
        `${X} stopped working after {span}.`,
        `a part of ${X} is (broken|damaged).`,
        `${X} has a crack(| and does not work).`,
        `I opened the box and ${X} was broken.`
      ],
      heldOut: [
        `${X} was damaged in the box.`,
        `there is a crack in a part of ${X}.`,
        `${X} arrived {span} ago and is broken.`
      ]
    },
    answers: {
      train: [
        'We (send|will send) you a new {item}(| {day}).',
        'We (replace|will replace) your {item} (at no cost|{day}).',
        'A new {item} (comes {day}|is yours at no cost).',
        'You (get|will get) a new {item} {day}.',
        'We (repair|will repair) your {item} at no cost.',
        'Your new {item} (comes|will come) {day}.',
        'We gladly replace your {item}.'
      ],
      heldOut: ['We will gladly send you a new {item}.', 'You will get a new {item} at no cost.']
    },
    more: [
      'We (send|will send) (you |)another {item} at no cost.',
      'You will gladly get a new {item} from us.',
      'We gladly (repair|send you) a new {item}.',
      'A new {item} will be sent to you {day}.',
      'We will replace the {item} and send you a new one.',
      'Your {item} will be (replaced|repaired) at no cost.'
    ]
  },
  {
    name: 'invoice',
    messages: {
      train: [
        `I (need|want) (an|the) invoice for ${X}.`,
        `you sent no invoice (for|with) ${X}.`,
        `can I have the (invoice|bill) for ${X}?`,
        `please (send|mail) me the (invoice|bill) for ${X}.`,
        `where is the (invoice|bill) for ${X}?`,
        `I lost the (invoice|bill) for ${X}.`,
        `the (invoice|bill) for ${X} is missing.`,
        `my boss (wants|needs) the (invoice|bill) for ${X}.`,
        `there was no (invoice|bill) with ${X}.`,
        `I did not get (an invoice|a bill) for ${X}.`
      ],
      heldOut: [
        `there was no invoice in the box with ${X}.`,
        `can you mail me the bill for ${X}?`,
        `my boss lost the invoice for ${X}.`
      ]
    },
    answers: {
      train: [
        'The (invoice|bill) for your {item} is in your (mail|account).',
        'We (sent|mailed) you the (invoice|bill) for your {item}.',
        'You find the (invoice|bill) for your {item} in your account.',
        'We (send|will send) you the (invoice|bill) for your {item} {day}.',
        'The (invoice|bill) for your {item} went out {day}.',
        'We will mail the (invoice|bill) for your {item}.'
      ],
      heldOut: [
        'You find the (invoice|bill) for your {item} in your mail.',
        'We will mail you the (invoice|bill) for your {item} {day}.'
      ]
    },
    more: [
      'You (get|will get) the (invoice|bill) for your {item} {day}.',
      'The (invoice|bill) for (the|your) {item} (was mailed|was sent) to you.',
      'We gladly (send|mail) you the (invoice|bill) for the {item}.',
      'Your account has the (invoice|bill) for your {item}.',
      'The (invoice|bill) for the {item} is on its way to you.'
    ]
  },
  {
    name: 'exchange',
    messages: {
      train: [
        `${X} is too (small|big|short|long)(|, can I swap it).`,
        `I (want|need) ${X} in another (size|color).`,
        `can I (swap|exchange) ${X}?`,
        `${X} (does not fit|is the wrong size|has the wrong color).`,
        `I chose the wrong (size|color) of ${X}.`,
        `do you have ${X} in another (size|color)?`,
        `I would like (a smaller|a bigger|another) {item}.`,
        `I want to (swap|exchange) ${X}.`,
        `the (size|color) of ${X} is wrong.`,
        `please swap ${X} for a (smaller|bigger) one.`
      ],
      heldOut: [
        `can I swap ${X} for a (smaller|bigger) one?`,
        `${X} has the wrong size, I need another.`,
        `I chose ${X} too (small|big).`
      ]
    },
    answers: {
      train: [
        'You can (exchange|swap) your {item} {day}.',
        'We (exchange|will exchange) your {item}(| for another size| for another color).',
        'We (swap|will swap) your {item}(| for another size| for another color).',
        'Send the {item} back and we exchange it.',
        'You can exchange the {item} in our shop.',
        'You get the {item} in another (size|color).',
        'We gladly exchange your {item}.'
      ],
      heldOut: ['Send the {item} back and we swap it.', 'We will gladly exchange your {item} for another size.']
    },
    more: [
      'We gladly (swap|exchange) (your|the) {item} for another (size|color).',
      'Send us the {item} and we (will swap|will exchange) it.',
      'You can (swap|exchange) (your|the) {item} for a (smaller|bigger) one.',
      'Just send the {item} back for another (size|color).',
      'Your {item} can be (swapped|exchanged) in our shop.'
    ]
  },
  {
    name: 'cancel',
    messages: {
      train: [
        `I want to cancel (my|the) order of the ({quality} |){item}.`,
        `please (stop|cancel) the order of ${X}.`,
        `I ordered ${X} by mistake.`,
        `I do not (need|want) ${X} any more.`,
        `can you (stop|cancel) the order of ${X}?`,
        `please do not send ${X}.`,
        `cancel ${X}(|, please).`,
        `I have to cancel ${X}.`,
        `I ordered ${X} and do not want it any more.`,
        `stop the order of ${X}(|, please).`
      ],
      heldOut: [
        `I ordered ${X} by mistake, please cancel it.`,
        `please stop, I do not need ${X} any more.`,
        `can I cancel the order of ${X}?`
      ]
    },
    answers: {
      train: [
        'Your order of the {item} is canceled.',
        'We (canceled|have canceled) your {item}.',
        'The {item} is canceled and (costs you nothing|will not be sent).',
        'We stopped the order of your {item}.',
        'We will not send the {item}.',
        'We (canceled|have canceled) the order of the {item} for you.',
        'Your {item} is canceled at no cost.'
      ],
      heldOut: ['We have stopped your order of the {item}.', 'Your order of the {item} is canceled at no cost.']
    },
    more: [
      'We (stopped|have stopped|canceled) the order of (the|your) {item} at no cost.',
      'The order of your {item} (is canceled|was stopped).',
      'Your order of the {item} (was stopped|will not be sent).',
      'Your {item} will not be sent and costs you nothing.',
      'We gladly canceled your {item} for you.'
    ]
  },
  {
    name: 'manual',
    messages: {
      train: [
        `how do I (use|start|clean) ${X}?`,
        `I lost the (manual|guide) for ${X}.`,
        `there was no (manual|guide) with ${X}.`,
        `I do not know how to (use|start|clean) ${X}.`,
        `do you have a (manual|guide) for ${X}?`,
        `please send me the (manual|guide) for ${X}.`,
        `where do I find the (manual|guide) for ${X}?`,
        `can you show me how to (use|start|clean) ${X}?`,
        `the (manual|guide) for ${X} is missing.`,
        `I need a (manual|guide) for ${X}.`
      ],
      heldOut: [
        `please show me how to (use|clean) ${X}.`,
        `there was no guide in the box with ${X}.`,
        `I want to know how to start ${X}.`
      ]
    },
    answers: {
      train: [
        'The (manual|guide) for your {item} is on our site.',
        'You find the (manual|guide) for your {item} on our site.',
        'We (sent|mailed) you the (manual|guide) for your {item}.',
        'Our site shows how to use your {item}.',
        'The (manual|guide) for your {item} is in the box.',
        'We (send|will send) you the (manual|guide) for your {item} {day}.'
      ],
      heldOut: [
        'Our site shows the (manual|guide) for your {item}.',
        'You find the (manual|guide) for your {item} in the box.'
      ]
    },
    more: [
      'Our site (has|shows) (a|the) (manual|guide) of your {item}.',
      'The (manual|guide) for the {item} is in (your mail|our shop).',
      'You (get|will get) the (manual|guide) for your {item} {day}.',
      'We gladly send you (a|the) (manual|guide) for the {item}.',
      'You find how to (use|start|clean) the {item} on our site.'
    ]
  },
  {
    name: 'stock',
    messages: {
      train: [
        'do you (have|sell) a ({quality} |){item}?',
        'is the ({quality} |){item} (in stock|sold out)?',
        'when do you have the ({quality} |){item} again?',
        'I (want|would like) to buy a ({quality} |){item}.',
        'can I (order|buy) a ({quality} |){item}?',
        'will the ({quality} |){item} be in stock again?',
        'your site says the ({quality} |){item} is sold out.',
        'I look for a ({quality} |){item}.',
        'how many of the ({quality} |){item} are in stock?',
        'where can I (order|buy) a ({quality} |){item}?'
      ],
      heldOut: [
        'when will the ({quality} |){item} be in stock?',
        'I look for a ({quality} |){item} to buy.',
        'do you sell the ({quality} |){item} again?'
      ]
    },
    answers: {
      train: [
        'The {item} is in stock(| again).',
        'We have the {item} in our shop.',
        'You can (order|buy) the {item} on our site.',
        'The {item} is back in stock {day}.',
        'We still have a {item} for you.',
        'We sell the {item} in our shop and on our site.'
      ],
      heldOut: ['You can buy the {item} in our shop.', 'We have the {item} in stock again.']
    },
    more: [
      'You (get|will get) the {item} in our shop {day}.',
      'Our shop (has|sells) the {item} again.',
      'You can order a {item} (in our shop|from us).',
      'We (sell|have) a {item} for you on our site.',
      'The {item} can be ordered on our site {day}.'
    ]
  }
]
