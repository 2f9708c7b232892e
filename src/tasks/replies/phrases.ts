/**
 * The phrases of which messages and replies are made. All are ours. In each list of the customer the last two, and in
 * each list of the shop the last one, are held out: models are trained without them.
 */

/** What a message is about. `words` tell a reply on this subject from the others (see check.ts). */
export interface Subject {
  name: string
  /** `{item}` is a product. */
  messages: string[]
  answers: string[]
  /** The same matter without a courtesy and in few words. */
  bare: string[]
  words: RegExp
}

export const subjects: Subject[] = [
  {
    name: 'delivery',
    messages: [
      'where is my {item}? I have waited a week.',
      'my {item} has not come yet.',
      'when will the {item} be delivered?',
      'the {item} should have been here on Monday.',
      'I am waiting for the delivery of my {item}.',
      'has my {item} been sent?',
      'the parcel with my {item} is late.',
      'my parcel has not come.',
      'the delivery of the {item} is late.',
      'where is the parcel?',
      'is my {item} on the way?',
      'when does my {item} come?',
      'I have waited long for the {item} to come.',
      'I am still waiting for the {item} to be delivered.',
      'when does the parcel with the {item} come?'
    ],
    answers: [
      'It is on its way and arrives in two days.',
      'Your parcel arrives tomorrow.',
      'We sent it today and it arrives on Friday.',
      'It left our house and arrives soon.'
    ],
    bare: ['It arrives in two days.', 'The parcel arrives on Friday.', 'It arrives soon.'],
    words: /\barrives\b/
  },
  {
    name: 'refund',
    messages: [
      'I want my money back for the {item}.',
      'I sent the {item} back and got no money.',
      'how do I get a refund for the {item}?',
      'please refund the {item}.',
      'I would like a refund.',
      'give me my money back.',
      'did you send the refund for my {item}?',
      'I still have no refund for the {item}.',
      'where is my money for the {item}?',
      'can I get my money back?',
      'I returned the {item} and want a refund.',
      'the money for the {item} has not come back.',
      'my refund is late.',
      'when do I get my money for the {item}?',
      'is the refund of my {item} coming?'
    ],
    answers: [
      'We refund it within three days.',
      'The refund goes to your card today.',
      'We started your refund.',
      'Your refund is on your card by Friday.'
    ],
    bare: ['We refund it.', 'The refund takes three days.', 'The refund is sent.'],
    words: /\brefund\b/
  },
  {
    name: 'broken',
    messages: [
      'my {item} came broken.',
      'the {item} does not work any more.',
      'the {item} has a crack.',
      'my new {item} stopped after one day.',
      'the {item} is broken.',
      'the {item} fell apart.',
      'my {item} is damaged.',
      'the {item} broke on the first day.',
      'a part of the {item} is broken.',
      'I got a damaged {item}.',
      'the {item} was broken in the box.',
      'the {item} stopped and is broken now.',
      'there is a crack in my {item}.',
      'there is something wrong with the {item}, it is broken.',
      'the {item} was damaged when I opened the box.'
    ],
    answers: [
      'We send you a new one to replace it.',
      'We replace it at no cost.',
      'We will replace it this week.',
      'We replace it, just keep the old one.'
    ],
    bare: ['We replace it.', 'We replace it this week.', 'We will replace that.'],
    words: /\breplace\b/
  },
  {
    name: 'password',
    messages: [
      'I cannot log in to my account.',
      'I forgot my password.',
      'my password does not work.',
      'the site does not let me log in.',
      'I lost my password.',
      'the login does not work.',
      'I cannot log in with my password.',
      'the login page says my password is wrong.',
      'how do I log in?',
      'my account is locked.',
      'I need a new password.',
      'can you reset my password?',
      'I cannot get in to my account.',
      'I am locked out of my account.',
      'how do I get a new password?'
    ],
    answers: [
      'We sent you a link to set a new password.',
      'Use the link in our mail to choose a new password.',
      'You can set a new password on the login page.',
      'Follow the link that we mailed and set your password.'
    ],
    bare: ['Set a new password.', 'Use the password link.', 'Choose another password.'],
    words: /\bpassword\b/
  },
  {
    name: 'invoice',
    messages: [
      'I need an invoice for the {item}.',
      'you sent no invoice with the {item}.',
      'can I have the invoice of my {item}?',
      'my boss wants the invoice for the {item}.',
      'please send me an invoice.',
      'I have no invoice.',
      'there was no invoice in the box.',
      'where is my invoice?',
      'could you mail the invoice?',
      'I lost the invoice for the {item}.',
      'I need the invoice for my tax.',
      'I did not get an invoice for my {item}.',
      'an invoice is missing.',
      'the invoice for the {item} is missing.',
      'where do I find the invoice of the {item}?'
    ],
    answers: [
      'The invoice is in your mail now.',
      'We mailed you the invoice.',
      'You find the invoice in your account.',
      'Your invoice was sent again today.'
    ],
    bare: ['The invoice is in your mail.', 'The invoice is in your account.', 'We sent the invoice.'],
    words: /\binvoice\b/
  },
  {
    name: 'hours',
    messages: [
      'when is the shop open?',
      'are you open on Sunday?',
      'what are your hours?',
      'is the shop open on Monday?',
      'how long are you open today?',
      'do you open in the morning?',
      'when does the shop close?',
      'is your shop open at noon?',
      'when do you close today?',
      'are you open this week?',
      'at what hour does the shop open?',
      'what are the hours of the shop?',
      'until what time is the shop open?',
      'what are your hours on Saturday?',
      'is the shop open now?'
    ],
    answers: [
      'Our shop is open from nine to six every day.',
      'We are open from nine to six, also on Saturday.',
      'The shop is open until six today.',
      'We open at nine and stay open until six.'
    ],
    bare: ['Open from nine to six.', 'Open until six.', 'We are open at nine.'],
    words: /\bopen\b/i
  },
  {
    name: 'exchange',
    messages: [
      'the {item} is too small, can I swap it?',
      'I want the {item} in blue and not in red.',
      'can I have the {item} in another size?',
      'the {item} does not fit.',
      'I chose the wrong color of the {item}.',
      'the {item} is too big.',
      'I need a bigger size.',
      'the color is wrong, I wanted red.',
      'can I swap the {item} for a blue one?',
      'do you have the {item} in another color?',
      'I would like another size of the {item}.',
      'my {item} is the wrong size.',
      'I want to swap my {item}.',
      'the size of the {item} is wrong.',
      'the {item} is too small, I need another size.'
    ],
    answers: [
      'You can exchange it for another size or color.',
      'We exchange it and pay the way back.',
      'Send it back and we exchange it at once.',
      'We gladly exchange it for the one you want.'
    ],
    bare: ['You can exchange it.', 'We exchange it.', 'Exchange it in the shop.'],
    words: /\bexchange\b/i
  },
  {
    name: 'cancel',
    messages: [
      'I want to cancel my order of the {item}.',
      'please stop the order for the {item}.',
      'I do not need the {item} any more, stop the order.',
      'I ordered the {item} by mistake.',
      'please cancel it.',
      'cancel my order.',
      'I ordered the wrong {item}, please cancel.',
      'stop my order.',
      'I have to cancel the order.',
      'do not send the {item}, I ordered by mistake.',
      'can you cancel the {item}?',
      'I no longer want what I ordered.',
      'I ordered two by mistake, cancel one.',
      'can I still cancel the {item}?',
      'please cancel my order of the {item}.'
    ],
    answers: [
      'Your order is canceled and costs you nothing.',
      'We canceled it for you.',
      'The order is canceled now.',
      'It is canceled and will not be sent.'
    ],
    bare: ['It is canceled.', 'Order canceled.', 'That is canceled now.'],
    words: /\bcanceled\b/
  }
]

export const items = ['lamp', 'kettle', 'jacket', 'radio', 'chair', 'camera', 'phone', 'backpack', 'clock', 'bike']

/** Items of the held-out split: no model saw them in training. */
export const heldOutItems = ['toaster', 'scarf', 'printer']

export const openings = ['Hello,', 'Hi,', 'Good morning,', 'Hey,', 'Hello there,', 'Dear shop,']

/** What a customer says beside the matter. */
export const asides = [
  'I am a bit upset.',
  'It is urgent.',
  'I am new here.',
  'I like your shop.',
  'It was a gift.',
  'I wrote last week.',
  'This is the second time.',
  'My sister told me to write.'
]

export const closings = ['', '', 'Please help.', 'Thanks.', 'What now?', 'Can you help me?', 'Please answer soon.']

export const courtesiesBefore = [
  'Thank you for writing.',
  'Sorry for the trouble.',
  'Thanks for asking.',
  'We are sorry about that.',
  'Thank you for your message.'
]

export const courtesiesAfter = [
  'Happy to help!',
  'Have a nice day!',
  'Thank you for your patience!',
  'Thanks and have a good day!'
]

/** Answers that help nobody and are not polite. */
export const curt = [
  'No.',
  'Check the site.',
  'Not our problem.',
  'Read the rules.',
  'Ask someone else.',
  'Whatever.',
  'Look it up.'
]

/** What a rambler adds; says nothing about any subject. */
export const rambles = [
  'By the way our team has grown a lot this year and we moved to a bigger house near the river.',
  'You know, in the old days my uncle did all of this by hand and he often told us long stories.',
  'It has been a busy week here and the weather was bad, so the whole team is a bit tired.',
  'We have many plans for the summer and our boss likes to talk about them for hours and hours.',
  'Let me also tell you that our cat sleeps on the desk all day long and nobody knows why she does.'
]

/** What an answer off the subject talks about. */
export const offSubject = [
  'The weather is nice today.',
  'We have a new coffee machine.',
  'Our team likes music.',
  'The river is near our house.',
  'Our cat sleeps on the desk.'
]

export const politeWords = /\b(thank|thanks|sorry|happy to help|nice day|good day)\b/i
