/** Sentences beside the matter. All are ours. Each is one sentence by itself. */
import type { Divided } from './grammar.js'

export const openings: Divided<string> = {
  train: ['Hello,', 'Hi,', 'Good morning,', 'Hey,', 'Hello there,', 'Dear shop,', 'Good day,', 'Hi there,'],
  heldOut: ['Dear team,', 'Good evening,', 'Hey there,']
}

/** What a customer says beside the matter. */
export const asides: Divided<string> = {
  train: [
    'I am (a bit|very) upset.',
    'It is urgent.',
    'I am new here.',
    'I like your shop.',
    'It was a gift for my {person}.',
    'I wrote {span} ago.',
    'This is the second time.',
    'My {person} told me to write.',
    'I live near the {place}.',
    'I bought it {span} ago.'
  ],
  heldOut: ['My {person} likes your shop.', 'It is a gift and very urgent.', 'I wrote to you {span} ago.']
}

export const closings: Divided<string> = {
  train: [
    'Please help.',
    'Thanks.',
    'What now?',
    'Can you help me?',
    'Please answer soon.',
    'Thank you.',
    'Please write back.'
  ],
  heldOut: ['Please help me soon.', 'Many thanks.', 'Can you answer soon?']
}

export const courtesiesBefore: Divided<string> = {
  train: [
    '(Thank you|Thanks) for (writing|asking|your message).',
    '(Sorry|We are sorry) for the trouble.',
    '(Sorry|We are sorry) about that.',
    'Thank you for (telling|asking) us.',
    'We are (happy|glad) to help.',
    'We are sorry to hear that.'
  ],
  heldOut: ['We are sorry for that trouble.', 'Many thanks for your message.', 'Glad to help you.']
}

export const courtesiesAfter: Divided<string> = {
  train: [
    '(Happy|Glad) to help!',
    'Have a (nice|good) day!',
    '(Thank you|Thanks) for your patience!',
    'Please write (again|to us) (any time|soon)!',
    'We wish you a (nice|good) day!',
    'Thanks and have a (nice|good) day!'
  ],
  heldOut: ['Many thanks for your patience!', 'We wish you a nice week!', 'Please have a good day!']
}

/** Answers that help nobody and are not polite. */
export const curt: Divided<string> = {
  train: [
    'No.',
    '(Check|Look at) the site.',
    'Not our (problem|fault|job).',
    'Read the (rules|site).',
    'Ask (someone else|your {person}).',
    'Whatever.',
    'Look it up.',
    'So what?',
    'We do not care.',
    'We have no time(| for that).',
    'That is not our (problem|fault|job).',
    'Wait.',
    'Too bad.',
    'Who knows?'
  ],
  heldOut: ['Ask the site.', 'That is your problem.', 'No time.', 'Look at the rules.']
}

/** What a rambler adds: twenty words or more that say nothing about any matter. */
export const rambles: Divided<string> = {
  train: [
    'By the way our {thing} has (grown|changed) a lot this year and we (moved|walked) to a bigger house near the {place} with my {person}.',
    'You know, in the old days my {person} did all of this by hand and often told us long stories about the {place}.',
    'It has been a busy week here and the {thing} was (bad|loud|old), so my {person} and the whole team are a bit tired.',
    'We have many plans for the summer and my {person} likes to talk about them for hours and hours near the {place}.',
    'Let me also tell you that our {thing} sleeps by the {place} all day long and nobody knows why, not even my {person}.',
    'My {person} once lost a {thing} near the {place} and we all went there to look for it until late in the night.',
    'Last summer we went to the {place} with the {thing} of my {person} and it was so (loud|bad|nice) that we all left early.'
  ],
  heldOut: [
    'By the way my {person} often told us about the {thing} near the {place} and we all like to talk about it for hours.',
    'Last year my {person} moved to the {place} and nobody knows why, but the {thing} was old and the house was a bit loud.'
  ]
}

/** What an answer off the subject talks about. */
export const offSubject: Divided<string> = {
  train: [
    'Our {thing} is (nice|new|loud|old) today.',
    'We have a new {thing}.',
    'My {person} likes the {thing}.',
    'The {place} is near our house.',
    'Our {thing} sleeps near the {place}.',
    'My {person} went to the {place} today.',
    'The {thing} by the {place} is (nice|old|loud).'
  ],
  heldOut: ['My {person} has a new {thing}.', 'The {place} is nice today.', 'Our {thing} is by the {place}.']
}

/** More sentences for the judge's training; the policy does not learn them. */
export const moreCourtesiesBefore = [
  'Many thanks for (writing|asking|telling us|your note|your letter|your call|your help).',
  '(Thank you|Thanks) for your (trust|time|note|letter|call|help|question).',
  '(Thank you|Thanks) (a lot|so much) for (writing|asking|your note|your question).',
  '(Thank you|Thanks) for (writing to us|letting us know|coming to us|asking our team).',
  'We are (happy|glad) to help you(| with this| with that).',
  '(Happy|Glad) to (help you with this|look into it|see your note|hear from you).',
  'It is (nice|good) to hear from you.',
  '(Sorry|We are sorry) that you had to (wait|write|ask).',
  '(Sorry|We are sorry) for (this|the bad day|the problem|the delay|the mistake|your trouble).',
  '(Sorry|We are sorry) (that|if) this was (bad|slow) for you.',
  'We are (so|very|really) sorry (about|for) (this|the problem|the delay).',
  'This should not happen, we are sorry.',
  'Please (forgive us|excuse the delay|excuse this trouble).'
]

export const moreCourtesiesAfter = [
  'Please (write|ask) (again|us) (any time|when you like|if you need more).',
  'Please (call|visit|tell) us (any time|soon|again)!',
  'We wish you a (nice|good) (evening|time|weekend|month)!',
  'We wish you (all the best|a lot of fun)!',
  'Please have a nice (time|evening|week)!',
  'Have a (nice|good) (time|evening|week|weekend)!',
  'Have a (great|lovely|pleasant) (day|week|evening)!',
  'Enjoy (your day|the week|the evening)!',
  'Many thanks (and have a nice day|and all the best|for your trust|for your time)!',
  '(Thank you|Thanks) for (your trust|your time|waiting|your help)!',
  '(Thank you|Thanks) (again|a lot|so much)!',
  'We are (happy|glad) (to be of help|that you asked|if this helps)!',
  'All the best (to you|from our team)!',
  'Take care and (see you|write) soon!'
]

export const moreCurt = [
  'Read it.',
  'That is the (problem|fault) of your {person}.',
  'No idea.',
  'Look at the {thing}.',
  'We have no (idea|answer).',
  'Write to (someone else|your {person}).',
  'Not now.',
  'That is your (fault|job).',
  'Ask the {person}.',
  'Too late.'
]

export const moreOffSubject = [
  'My {person} has a {thing} near the {place}.',
  'The {person} is at the {place}.',
  'The {place} is (old|new|loud) this week.',
  'Our {thing} was by the {place} {day}.',
  'My {person} and my {person} like the {place}.'
]

export const moreRambles = [
  'Last week my {person} went to the {place} to look for a {thing}, but it was so loud there that we all left early with my {person}.',
  'My {person} often told us about the {place} and the {thing} and we all like to talk about my {person} for days and days.',
  'By the way the {thing} of my {person} was old and loud, and nobody knows why it was near the {place} all night long.',
  'In the old days the {place} was a bit bigger and my {person} moved there with a {thing} and a {person} for many years.',
  'Let me tell you about my {person}, who has lost a {thing} at the {place} and went there every day to look for it.',
  'You know, our {person} likes the {thing} a lot and has many plans for the {place}, so the whole team is very busy this year.'
]
